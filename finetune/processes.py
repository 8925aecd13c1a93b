"""Several processes that train one student together.

    accelerate launch -m finetune recipe.yaml              one for each GPU
    torchrun --nproc_per_node 2 -m finetune recipe.yaml    two on a CPU, where accelerate launch starts one whatever it
                                                           is told; torchrun refuses --run: it has --run-path

All run the same program. The first one asks the teacher, holds the lock, speaks and writes; the others take part in the
training alone. How they tell each other things is in synth/processes.py.
"""

from __future__ import annotations

from recipes.errors import TrainingError
from synth.processes import add_up as add_up
from synth.processes import agree as agree
from synth.processes import alone as alone
from synth.processes import count as count
from synth.processes import leads as leads
from synth.processes import leave as leave
from synth.processes import on_cpu as on_cpu
from synth.processes import rank as rank
from synth.processes import wait as wait


def share_of(rows: int, title: str) -> int:
    """Each process's part of the rows of a step. Raises TrainingError where they cannot be dealt out evenly."""
    if rows % count():
        raise TrainingError(
            f"{title}: batch_size {rows} cannot be shared by {count()} processes: set it to a multiple of their number"
        )
    return rows // count()


def check_alone(title: str) -> None:
    """Raise TrainingError where there are several processes, and what is to be done is for one."""
    if count() > 1:
        how = "start python -m finetune alone; a local teacher can label before it by all of them, with -m synth"
        raise TrainingError(f"{title}: this kind of student is trained by one process: {how}")

"""Where the losses of a training are shown besides its own record: TensorBoard, Weights & Biases, Trackio.

Their writing is transformers' work. What is ours: what they keep lies in students/<name>/logs, and each seed is a run
of its own, in a project that is named for the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.integrations.integration_utils import TensorBoardCallback

from finetune import processes
from finetune.course import CausalCourse
from recipes.errors import TrainingError

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}
"""Name in report_to -> packages that can write for it."""


def check_trackers(course: CausalCourse) -> None:
    """Refuse a tracker that is not installed."""
    for tracker in course.student.report_to:
        if not any(find_spec(package) for package in PACKAGES[tracker]):
            raise TrainingError(
                f"{course.title}: report_to names {tracker}, which is not installed: pip install {tracker}, or leave "
                "it out"
            )


@contextmanager
def tracked(trainer: Any, course: CausalCourse, logs: Path) -> Iterator[None]:
    """While the block runs, a trainer's losses are reported as the recipe says; files for seed n are in logs/seed-n.

    Raises TrainingError where Weights & Biases cannot begin.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(logs / f"seed-{course.seed}")
    run = None
    if "wandb" in course.student.report_to and processes.leads():
        run = _begin_wandb(course.title, trainer.args, logs / f"seed-{course.seed}")
    try:
        yield
    finally:
        if run is not None:
            run.finish()  # the Trainer does not: the next seed would be written into this one's run


def _begin_wandb(title: str, arguments: Any, folder: Path) -> Any:
    """A run in the project that WANDB_PROJECT names, else the run folder; None where the user has begun one."""
    import wandb  # type: ignore[import-not-found]

    if wandb.run is not None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    project = os.environ.get("WANDB_PROJECT", arguments.project)
    try:
        return wandb.init(project=project, name=arguments.run_name, dir=str(folder))
    except wandb.Error as error:
        raise TrainingError(
            f"{title}: wandb cannot begin ({error}): run wandb login, or set WANDB_MODE=offline, or leave wandb out of "
            "report_to"
        ) from None

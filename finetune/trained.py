"""Whether a trained student is what the recipe says: nobody is scored, asked or taken away under a recipe that was
changed since without being told.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from finetune.causal_record import CausalRecord, read_any_record
from finetune.record import StudentRecord
from finetune.seq2seq_record import Seq2seqRecord
from recipes.console import say
from recipes.errors import RunError
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs


def check_trained(recipe: Recipe, name: str, run: RunFolder) -> None:
    """Raises RunError where the student must be trained again first; how it answers needs no training."""
    recipe = _as_told(recipe, name, read_any_record(run, name))
    stale = run.why_stale(f"student-{name}", student_inputs(recipe, name, run))
    if stale:
        raise RunError(
            f"the student {name} is not what the recipe says ({'; '.join(stale)}): run python -m finetune first"
        )


def say_changes(recipe: Recipe, name: str, run: RunFolder, arguments: Sequence[str]) -> None:
    """Say what changed since a student was trained, where anything did; how it answers is no part of that.

    arguments: of the command that trains it again. Raises TrainingError where it is not trained.
    """
    recipe, stage = _as_told(recipe, name, read_any_record(run, name)), f"student-{name}"
    stale = run.why_stale(stage, student_inputs(recipe, name, run))
    if stale:
        why = ", ".join(stale) if run.manifest(stage) is not None else "its last training did not end"
        say(
            f"student {name}: used as it was trained; since then {why}: "
            f"`python -m finetune {shlex.join([*arguments, '--student', name])}` trains it again"
        )


def _as_told(recipe: Recipe, name: str, record: StudentRecord | CausalRecord | Seq2seqRecord) -> Recipe:
    """The recipe with the student's answering as it was when the student was trained."""
    if not isinstance(record, CausalRecord) or recipe.students[name].kind != "causal":
        return recipe
    told = recipe.causal(name).model_copy(update={"answering": record.answering})
    return recipe.model_copy(update={"students": {**recipe.students, name: told}})

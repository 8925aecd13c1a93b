"""Whether a student is what the recipe says: nobody is scored under a name whose recipe has changed since."""

from __future__ import annotations

from recipes.errors import RunError
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs


def check_trained(recipe: Recipe, name: str, run: RunFolder) -> None:
    """Raises RunError where the student must be trained again first."""
    stale = run.why_stale(f"student-{name}", student_inputs(recipe, name, run))
    if stale:
        raise RunError(
            f"the student {name} is not what the recipe says ({'; '.join(stale)}): run python -m finetune first"
        )

"""A recipe of an assistant alone: a catalogue and who answers from it, with no rows, no teacher and no students."""

from __future__ import annotations

from recipes.errors import RunError
from recipes.schema import Recipe


def is_alone(recipe: Recipe) -> bool:
    """Whether there is nothing to label, train or compare."""
    return recipe.task == "none"


def refuse_alone(recipe: Recipe) -> None:
    """Raise RunError where there is nothing to label, train or compare."""
    if is_alone(recipe):
        raise RunError(
            f"the recipe {recipe.name} is of an assistant alone (python -m rag chat, python -m rag serve): "
            "to label, train and compare it needs the sections task, source and students"
        )

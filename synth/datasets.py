"""All rows of a recipe: those of its own source, and those of its further sources (section datasets)."""

from __future__ import annotations

from recipes.console import say
from recipes.errors import SourceError
from recipes.runs import Manifest, RunFolder
from recipes.schema import Recipe
from synth import build


def build_rows(recipe: Recipe, run: RunFolder, yes: bool = False, **options: bool) -> Manifest:
    """Bring all of them up to date; the manifest is that of the recipe's own rows.

    options: of `build_dataset`, for the recipe's own rows. Raises what it raises.

    The datasets come first: they cost nothing, and what is wrong with them is told before a teacher is paid.
    """
    for name in recipe.datasets:
        say(f"datasets.{name}:")
        made = build.build_dataset(recipe.of_dataset(name), run.of_dataset(name))
        if not made.facts["kept"]:
            where = run.of_dataset(name).rows / "rejects.jsonl"
            raise SourceError(f"datasets.{name}: no row of the source could be used: see {where}")
    return build.build_dataset(recipe, run, yes, **options)

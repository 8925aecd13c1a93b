"""Which recipe file a run folder is of: two recipes of one name would share runs/<name> and undo each other's rows."""

from __future__ import annotations

from pathlib import Path

from recipes.alone import is_alone
from recipes.errors import RunError
from recipes.runs import ORIGIN, Origin, RunFolder, digest
from recipes.schema import Dataset, Recipe


def origin_of(recipe: Recipe, file: Path) -> Origin:
    """A recipe file, and what says which rows it is about: a file that is edited goes on in its folder."""
    paths = [
        None if path is None else str(recipe.resolve(path).resolve())
        for path in (recipe.source.path, recipe.source.test_path)
    ]
    about = {
        "task and labels": digest([recipe.task, recipe.labels]),
        "source": digest([recipe.source.model_dump(), paths]),
    }
    if recipe.datasets:
        named = {name: _dataset(recipe, dataset) for name, dataset in recipe.datasets.items()}
        about["datasets"] = digest(named)
    if is_alone(recipe) and recipe.retrieval is not None:
        catalogue = recipe.retrieval.catalogue
        path = None if catalogue.path is None else str(recipe.resolve(catalogue.path).resolve())
        about["catalogue"] = digest([catalogue.model_dump(exclude={"path"}), path])
    return Origin(str(file.resolve()), about)


def _dataset(recipe: Recipe, dataset: Dataset) -> list[object]:
    paths = (dataset.source.path, dataset.source.test_path)
    return [dataset.model_dump(), [None if path is None else str(recipe.resolve(path).resolve()) for path in paths]]


def refuse_other(recipe: Recipe, run: RunFolder) -> None:
    """Raise RunError where the folder is that of another recipe file, which is still there and has other rows."""
    made, origin = run.manifest(ORIGIN), run.origin
    other = str(made.facts.get("file", "")) if made is not None else ""
    if (
        made is None
        or origin is None
        or other == origin.file
        or made.inputs == origin.about
        or not Path(other).is_file()
    ):
        return
    raise RunError(
        f"{run.path} is the run folder of {other}, and {origin.file} has the same name, {recipe.name}, with another "
        "source or task: change the name in one of them, or give this one a folder of its own with --run"
    )

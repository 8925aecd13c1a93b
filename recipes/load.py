"""Recipe file -> Recipe, with every mistake at once: `file:line: path: message`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recipes import keys
from recipes.documents import Document, KeyPath, Mistake, parse_document, read_document
from recipes.errors import RecipeError
from recipes.mistakes import shape_mistakes
from recipes.schema import Recipe


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check it whole. `overrides` are `key.path=value` arguments of --set.

    Raises RecipeError with all mistakes; nothing is downloaded, imported or asked for.
    """
    path = Path(path)
    folder = path.resolve().parent
    document = read_document(path)
    for argument in overrides:
        _override(document, argument)
    recipe, mistakes = shape_mistakes(document, Recipe)
    mistakes += document.mistakes
    if mistakes or recipe is None:
        raise RecipeError([keys.redact(str(m)) for m in sorted(mistakes, key=lambda m: m.line)])
    recipe._folder = folder
    keys.look_in(folder)
    return recipe


def _override(document: Document, argument: str) -> None:
    """Apply one `a.b.c=value`; the value is YAML."""
    dotted, equals, text = argument.partition("=")
    path: KeyPath = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(path):
        document.mistakes.append(Mistake(f"--set {argument}", (), "write it as key.path=value", 1 << 30))
        return
    try:
        part = parse_document(text, f"--set {argument}")
    except RecipeError as error:
        message = error.mistakes[0].removeprefix(f"--set {argument}:").partition(": ")[2]
        document.mistakes.append(Mistake(f"--set {argument}", (), message, 1 << 30))
        return
    document.override(argument, path, part)

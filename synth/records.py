"""A record of a source -> the content of an example, as the recipe's task reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recipes.errors import SourceError
from recipes.schema import REVIEWS, Recipe
from synth.cleaning import clean_layout, clean_markup, clean_text
from synth.content import Content, Unfit
from synth.conversations import conversation_text, read_conversation
from synth.filters import unfit_content
from synth.reviews import read_review

Reader = Callable[[Mapping[str, Any], str], tuple[Content, tuple[str, str] | None]]
"""(record, its place as file:line) -> its content, and (reason, detail) where that is unfit."""


def content_reader(recipe: Recipe) -> Reader:
    """How this recipe's records are read. The reader raises SourceError for a cell that holds no text."""
    task, source, synthesis = recipe.task, recipe.source, recipe.synthesis
    if task == "chat" and source.messages is not None:
        column = source.messages
        return lambda record, where: _conversation(record.get(column), recipe)
    if task in REVIEWS:
        return lambda record, where: _review(record, where, recipe)
    if task == "classify":
        columns, clean = {"text": source.text or ""}, clean_text
    else:
        columns, clean = dict(source.fields or {}), clean_layout if task == "chat" else clean_markup

    def read(record: Mapping[str, Any], where: str) -> tuple[Content, tuple[str, str] | None]:
        cells = {name: clean(_text(record.get(column), where, column, task)) for name, column in columns.items()}
        if task == "chat" and not cells.get("reasoning", " "):
            del cells["reasoning"]  # an answer may do without
        content = Content(cells)
        return content, unfit_content(content, synthesis)

    return read


def _review(record: Mapping[str, Any], where: str, recipe: Recipe) -> tuple[Content, tuple[str, str] | None]:
    fields, problem = read_review(recipe, record, where, lambda value, at, column: _text(value, at, column, "classify"))
    content = Content(fields)
    return content, unfit_content(content, recipe.synthesis) or problem


def _conversation(value: Any, recipe: Recipe) -> tuple[Content, tuple[str, str] | None]:
    try:
        content = read_conversation(value)
    except Unfit as unfit:
        shown = conversation_text(value, recipe.synthesis.max_text_chars)
        return Content({"messages": shown}), (unfit.reason, unfit.detail)
    return content, unfit_content(content, recipe.synthesis)


def _text(value: Any, where: str, column: str, task: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool | int | float):
        return str(value)
    if task != "classify" and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)  # as raw Amazon metadata has its descriptions
    raise SourceError(f"{where}: the text column {column!r} holds {type(value).__name__}; it must hold text")

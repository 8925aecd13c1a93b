"""A record with a review, or a sentence of one -> its content, for the tasks that read opinions out of it.

understanding   text, and what a teacher wrote of it before, where source.analysis or source.rewrite name it
atsa, acsa      text and its gold tuples: a column, or the elements of a SemEval file
sentiment       text; its gold label is read as any
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from recipes.readings import is_analysis
from recipes.schema import Recipe, Source
from recipes.tables import is_semeval
from synth.cleaning import clean_layout, clean_text
from synth.content import GOLD, Unfit
from synth.gold import read_gold

Read = tuple[dict[str, str], tuple[str, str] | None]
"""(field -> text, (reason, detail) of what is wrong with the record beside its length)."""
ToText = Callable[[Any, str, str], str]
"""(cell, place, column) -> its text; raises SourceError where it holds none."""


def read_review(recipe: Recipe, record: Mapping[str, Any], where: str, to_text: ToText) -> Read:
    """The fields of a record. where: its place as file:line."""
    source, task = recipe.source, recipe.task
    semeval = is_semeval(source.path)
    column = "text" if semeval else source.text or ""
    raw = to_text(record.get(column), where, column)
    fields = {"text": clean_text(raw)}
    if task == "understanding":
        written = _written(source, record, where, to_text)
        empty = source.is_read() and not written
        return fields | written, ("nothing_written", "neither an analysis nor a rewrite of it") if empty else None
    if task == "sentiment" or not fields["text"]:
        return fields, None
    try:
        gold = read_gold(task, record.get("aspects" if semeval else source.aspects or ""), raw, fields["text"])
    except Unfit as unfit:
        return fields, (unfit.reason, unfit.detail)
    return {**fields, GOLD: gold.encode()}, None


def _written(source: Source, record: Mapping[str, Any], where: str, to_text: ToText) -> dict[str, str]:
    """What a teacher wrote: an analysis, a rewrite or both. A column that both name holds one of them in each row."""
    if source.analysis is not None and source.analysis == source.rewrite:
        text = _cell(record.get(source.analysis), where, source.analysis, to_text)
        return {"analysis" if is_analysis(text) else "rewrite": text} if text else {}
    found = {
        name: _cell(record.get(column), where, column, to_text)
        for name, column in (("analysis", source.analysis), ("rewrite", source.rewrite))
        if column is not None
    }
    return {name: text for name, text in found.items() if text}


def _cell(value: Any, where: str, column: str, to_text: ToText) -> str:
    """Lists and objects, as some tables have them, are written as the JSON that they are."""
    if isinstance(value, list | dict):
        return orjson.dumps(value).decode()
    return clean_layout(to_text(value, where, column))

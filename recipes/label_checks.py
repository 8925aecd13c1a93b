"""The label column of a source against the labels of its recipe, as far as the head of a file shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from html import unescape
from itertools import islice
from typing import TYPE_CHECKING, Any

from recipes.counts import counted
from recipes.documents import KeyPath
from recipes.source import Source
from recipes.tables import read_table, table_kind

if TYPE_CHECKING:
    from recipes.schema import Recipe

Found = Iterator[tuple[KeyPath, str]]
LOOKED_AT = 200
"""Rows at the head of a file whose labels are looked at."""


def label_mistakes(source: Source, values: list[Any], labels: tuple[str, ...]) -> Found:
    """A label column of lists, or of which no value is a label: most often numbers that want `label_names`."""
    several = next((place for place, value in enumerate(values, 1) if isinstance(value, list | dict)), None)
    if several is not None:
        held = "a list" if isinstance(values[several - 1], list) else "an object"
        message = f"the column {source.label!r} holds {held} in row {several}: a text has one human label"
        yield ("source", "label"), f"{message}; name a column with one, or leave label out (nothing is scored by it)"
        return
    names = source.label_names or {}
    seen = list(dict.fromkeys(filter(None, map(_as_text, values))))
    known = _known(labels)
    if seen and not any(names.get(value, value).strip().casefold() in known for value in seen):
        shown = ", ".join(value[:30] for value in seen[:5])
        message = f"the column {source.label!r} holds {shown}, none of the labels: map them with label_names"
        yield ("source", "label"), message
        return
    mapped = {names.get(value, value).strip().casefold(): value for value in seen}
    unused = {label.strip().casefold(): label for label in labels if label.strip().casefold() not in mapped}
    for folded in [folded for folded, value in mapped.items() if folded not in known and value not in names]:
        for near in get_close_matches(folded, unused, n=1, cutoff=0.7):
            message = f"{unused[near]!r} stands nowhere at the head of the column {source.label!r}, but"
            yield ("labels",), f"{message} {mapped[folded]!r} does: is one misspelt? (source.label_names maps values)"


def unknown_labels(recipe: Recipe) -> str | None:
    """In a sentence, the values of the label column that are no labels: that may well be meant, and rows are lost."""
    source = recipe.source
    if source.label is None or source.path is None or not recipe.labels:
        return None
    path = recipe.resolve(source.path)
    if table_kind(path) == ".parquet":
        return None  # pyarrow takes long to import
    names, known = source.label_names or {}, _known(recipe.labels)
    read = [record.get(source.label) for _, record in islice(read_table(path), LOOKED_AT)]
    values = list(filter(None, map(_as_text, read)))
    lost = Counter(value for value in values if names.get(value, value).strip().casefold() not in known)
    if not lost:
        return None
    shown = ", ".join(repr(value[:30]) for value, _ in lost.most_common(5))
    return (
        f"source.label: {lost.total():,} of the first {counted(len(read), 'row')} hold what is none of the labels "
        f"({shown}) and will be left out; source.label_names maps values"
    )


def _known(labels: tuple[str, ...]) -> set[str]:
    return {label.strip().casefold() for label in labels}


def _as_text(value: Any) -> str:
    """As the rows will have it; empty where there is no label."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(unescape(str(value)).split())

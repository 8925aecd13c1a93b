"""A recipe's source -> cleaned rows, as a stream: files through recipes/tables.py, Hub data sets through `datasets`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from recipes.errors import SourceError
from recipes.schema import Recipe, Source
from recipes.tables import is_semeval, read_table
from synth.cleaning import clean_text
from synth.content import Content
from synth.hub import load_hub
from synth.records import content_reader

Side = Literal["pool", "test"]
"""Where a row stands in the source: what train and validation (and maybe test) are drawn from, or a given test set."""
Records = Iterator[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of the source. `number` is its line in a file, or its place in a Hub split from 1 on.

    unfit: (reason, detail) where the row cannot become an example; its content may then be cut.
    """

    number: int
    id: str
    content: Content
    gold: str | None
    unfit: tuple[str, str] | None = None


def has_test_set(source: Source) -> bool:
    """Whether the source names a test set of its own, apart from what it trains on."""
    return source.test_path is not None or source.test_split is not None


def origin(recipe: Recipe, side: Side) -> str:
    """What a side of the source is called in messages: a file's path, or `<hub id> <split>`."""
    source = recipe.source
    if source.path is not None:
        return str(recipe.resolve(source.test_path if side == "test" and source.test_path else source.path))
    return f"{source.hub} {source.test_split if side == 'test' else source.split}"


def read_source(recipe: Recipe, side: Side) -> Iterator[SourceRow]:
    """Yield the rows of one side, cleaned, in source order.

    Raises SourceError where the file cannot be read, a column is missing (with the columns seen), or a row has no id.
    """
    source, where = recipe.source, origin(recipe, side)
    id_column = "id" if is_semeval(source.path) else source.id
    records = _hub_records(source, side) if source.hub is not None else read_table(recipe.resolve(_path(source, side)))
    to_gold, to_content = _gold_reader(recipe), content_reader(recipe)
    limit = recipe.synthesis.max_text_chars
    for place, (number, record) in enumerate(records):
        if not place:
            _check_columns(source, record, where)
        at = f"{where}:{number}"
        content, unfit = to_content(record, at)
        gold, unknown = to_gold(record.get(source.label)) if source.label is not None else (None, None)
        identity = _value_text(record.get(id_column)) if id_column is not None else ""
        if not identity and source.id is not None:
            raise SourceError(f"{at}: the id column {source.id!r} is empty")
        if not identity:
            identity = text_digest(content.whole) if any(content.fields.values()) else f"row-{number}"
        content = content.cut(limit) if unfit else content
        if source.slices:
            content = replace(content, slices=_slices(source, record, at))
        yield SourceRow(number, identity, content, gold, unfit or unknown)


def text_digest(text: str) -> str:
    """Sixteen hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(source: Source, side: Side) -> str:
    path = source.test_path if side == "test" else source.path
    assert path is not None
    return path


def _value_text(value: Any) -> str:
    """A label or an id as text: `1`, `1.0` and `"1"` are the same value (CSV and Parquet disagree about them)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else clean_text(str(value))


def _gold_reader(recipe: Recipe) -> Callable[[Any], tuple[str | None, tuple[str, str] | None]]:
    """A function from a value of the label column to (label or None, why it is unknown or None)."""
    names = recipe.source.label_names or {}
    folded = {label.strip().casefold(): label for label in recipe.labels}
    column = recipe.source.label

    def read(value: Any) -> tuple[str | None, tuple[str, str] | None]:
        if isinstance(value, list | dict):
            return None, ("unknown_gold", f"{column} holds {str(value)[:60]}: a text has one human label")
        text = _value_text(value)
        if not text:
            return None, None
        label = folded.get(names.get(text, text).strip().casefold())
        if label is None:
            return None, ("unknown_gold", f"{column} is {text[:60]!r}; the labels are {', '.join(recipe.labels)}")
        return label, None

    return read


def _slices(source: Source, record: Mapping[str, Any], where: str) -> dict[str, str]:
    """Slice column -> its value as text; a column without a value is left out. Raises SourceError for a list."""
    found = {}
    for column in source.slices:
        value = record.get(column)
        if isinstance(value, list | dict):
            raise SourceError(f"{where}: the slice column {column!r} holds {type(value).__name__}; it must hold text")
        if isinstance(value, float) and math.isnan(value):
            continue  # what stands for nothing in some Parquet files
        text = str(value).lower() if isinstance(value, bool) else _value_text(value)
        if text:
            found[column] = text
    return found


def _check_columns(source: Source, record: Mapping[str, Any], where: str) -> None:
    for setting, column in source.columns():
        if column is not None and column not in record:
            near = get_close_matches(column, [str(name) for name in record], n=1, cutoff=0.6)
            hint = f", did you mean {near[0]!r}?" if near else ";"
            seen = ", ".join(str(name) for name in list(record)[:20])
            raise SourceError(f"{where}: source.{setting}: there is no column {column!r}{hint} columns seen: {seen}")


def _hub_records(source: Source, side: Side) -> Records:
    """Rows of a Hub data set, labels and slices by their names."""
    from datasets import ClassLabel  # type: ignore[import-untyped]

    split = source.test_split if side == "test" else source.split
    assert source.hub is not None and split is not None
    data = load_hub("source", source.hub, source.config, split, source.revision, source.file)
    columns = [column for column in (source.label, *source.slices) if column is not None]
    classes = {column: data.features[column] for column in columns if isinstance(data.features.get(column), ClassLabel)}
    for number, record in enumerate(data, 1):
        for column, feature in classes.items():
            value = record.get(column)
            by_number = column == source.label and str(value) in (source.label_names or {})
            if isinstance(value, int) and not by_number:
                record[column] = feature.int2str(value) if value >= 0 else None  # -1: not labelled
        yield number, record

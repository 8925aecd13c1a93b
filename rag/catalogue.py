"""The recipe's catalogue as a stream of documents, cleaned as rows are; what is no document is told of and counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from rag.cells import is_missing, padded, plain, whole
from rag.documents import Document, Value
from rag.openai_protocol import web_link
from recipes.console import say
from recipes.errors import SourceError
from recipes.retrieval import Catalogue
from recipes.schema import Recipe
from recipes.tables import read_table, table_kind
from synth.cleaning import clean_blocks, clean_markup, clean_text
from synth.hub import load_hub
from synth.sources import text_digest

MOST_CHARS = 1_000_000
"""Of one document: more is no product but a mistake in the file."""
MOST_TOLD = 5
"""Rejected rows that are told of; all are counted."""
_ENOUGH = 100
"""Cells by which words must be ahead of numbers for a column to be clearly one of words."""

Records = Iterator[tuple[int, Mapping[str, Any]]]


class Reading:
    """One pass over the catalogue. where: its name in messages. rejected: reason -> rows left out so far.
    dropped_links: of documents that are in, but without a link that can be followed.
    """

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.retrieval is not None, "the recipe has no section retrieval"
        self._recipe, self._catalogue = recipe, recipe.retrieval.catalogue
        self.rejected: Counter[str] = Counter()
        self.dropped_links = 0
        self.where = _origin(recipe, self._catalogue)
        self._typed = _plain_types(recipe, self._catalogue)

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Documents in order, each with its place (`file:line`). Raises SourceError where the catalogue cannot be read
        or lacks a column.
        """
        for place, (number, record) in enumerate(_records(self._recipe, self._catalogue)):
            if place == self._catalogue.limit:
                return
            if not place:
                _check_columns(self._catalogue, record, self.where)
            at = f"{self.where}:{number}"
            found = self._document(record, at)
            if found is not None:
                yield at, found

    def reject(self, reason: str, detail: str) -> None:
        """Count a row that is left out."""
        self.rejected[reason] += 1
        if self.rejected.total() <= MOST_TOLD:
            say(f"index: left out: {detail}")

    def _left_out(self, reason: str, detail: str) -> Document | None:
        self.reject(reason, detail)
        return None

    def _document(self, record: Mapping[str, Any], at: str) -> Document | None:
        catalogue = self._catalogue
        texts = {name: _text(record.get(column), f"{at}: {column}") for name, column in catalogue.fields.items()}
        title = clean_markup(next(iter(texts.values())))
        fields = {name: clean_blocks(text) if place else title for place, (name, text) in enumerate(texts.items())}
        size = sum(map(len, fields.values()))
        if not size:
            return self._left_out("empty", f"{at}: no field has text")
        if size > MOST_CHARS:
            return self._left_out("too long", f"{at}: the document has {size:,} characters; {MOST_CHARS:,} are taken")
        if catalogue.id is None:
            identity = text_digest("\n".join(fields.values()))
        else:
            identity = _identity(record.get(catalogue.id))
            if not identity:
                return self._left_out("no id", f"{at}: the id column {catalogue.id!r} is empty")
        metadata: dict[str, Value] = {}
        written: dict[str, str] = {}
        for name, column in catalogue.metadata.items():
            cell = record.get(column)
            value = _value(cell, f"{at}: {column}", column in self._typed)
            if value is not None:
                metadata[name] = value
            if isinstance(value, (int, float)):
                text = padded(clean_text(cell) if isinstance(cell, str) else str(cell))
                if text:
                    written[name] = text
        link = _identity(record.get(catalogue.link) or "") if catalogue.link else ""
        if link and web_link(link) is None:
            self._drop_link(link, at)
        return Document(identity, title, fields, metadata, link or None, written)

    def _drop_link(self, link: str, at: str) -> None:
        """Count a link that nobody will be shown."""
        self.dropped_links += 1
        if self.dropped_links == 1:
            say(f"index: {at}: the link {link[:60]!r} is not shown, since it begins with neither http:// nor https://")


def read_catalogue(recipe: Recipe) -> Iterator[Document]:
    """The documents of a recipe's catalogue, in order; an id may come more than once."""
    for _, document in Reading(recipe).documents():
        yield document


def _origin(recipe: Recipe, catalogue: Catalogue) -> str:
    if catalogue.path is not None:
        return str(recipe.resolve(catalogue.path))
    return f"{catalogue.hub} {catalogue.split}"


def _records(recipe: Recipe, catalogue: Catalogue) -> Records:
    if catalogue.path is not None:
        yield from read_table(recipe.resolve(catalogue.path))
        return
    assert catalogue.hub is not None
    yield from enumerate(
        load_hub(
            "retrieval.catalogue", catalogue.hub, catalogue.config, catalogue.split, catalogue.revision, catalogue.file
        ),
        1,
    )


def _check_columns(catalogue: Catalogue, record: Mapping[str, Any], where: str) -> None:
    for setting, column in catalogue.columns():
        if column not in record:
            near = get_close_matches(column, [str(name) for name in record], n=1, cutoff=0.6)
            hint = f", did you mean {near[0]!r}?" if near else ";"
            seen = ", ".join(str(name) for name in list(record)[:20])
            raise SourceError(
                f"{where}: retrieval.catalogue.{setting}: there is no column {column!r}{hint} columns seen: {seen}"
            )


def _text(value: Any, where: str) -> str:
    """What a field holds, not yet cleaned."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool | int | float):
        return _identity(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)  # as raw Amazon metadata has its descriptions
    raise SourceError(f"{where} holds {type(value).__name__}; it must hold text")


def _identity(value: Any) -> str:
    """An id as text: `1`, `1.0` and `"1"` are the same (CSV and Parquet disagree about them)."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return clean_text(str(value))


def _value(value: Any, where: str, typed: bool) -> Value | None:
    """Metadata, None where there is none. typed: a cell of a file without types, in a column of numbers alone."""
    if isinstance(value, str):
        text = clean_text(value)
        if is_missing(text):
            return None
        return plain(text) if typed else text
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float | Decimal):
        number = float(value)
        return whole(number) if math.isfinite(number) else None
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    raise SourceError(f"{where} holds {type(value).__name__}; metadata must be a word, a number, a date, true or false")


def _plain_types(recipe: Recipe, catalogue: Catalogue) -> frozenset[str]:
    """The metadata columns of a file without types (.csv, .tsv) whose cells are all numbers, or all true or false.

    Of a column that would be one of numbers but for some cells the first of these is told: no order can be asked of it.
    """
    columns = set(catalogue.metadata.values())
    if catalogue.path is None or not columns or table_kind(recipe.resolve(catalogue.path)) not in (".csv", ".tsv"):
        return frozenset()
    kinds: dict[str, Counter[type]] = {column: Counter() for column in columns}
    odd: dict[str, str] = {}
    for number, record in _records(recipe, catalogue):
        for column, found in kinds.items():
            text = clean_text(str(record.get(column) or ""))
            if is_missing(text) or found[str] > found[float] + _ENOUGH:
                continue
            value = plain(text)
            found[str if value is None else bool if isinstance(value, bool) else float] += 1
            if value is None:
                odd.setdefault(column, f"{number}: {column} holds {text[:40]!r}, which is no number")
    for column, said in odd.items():
        if kinds[column][float] > kinds[column][str]:
            say(f"index: {_origin(recipe, catalogue)}:{said}: the whole column is taken as words, without < and >")
    return frozenset(column for column, found in kinds.items() if set(found) in ({bool}, {float}))

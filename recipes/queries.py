"""A query set: questions, each with the documents that answer it; what retrieval and the assistant are scored on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes.errors import SourceError
from recipes.evaluation import RetrievalEvaluation
from recipes.rows import Row
from recipes.tables import MOST_TOLD, Record, read_table, table_kind

MOST_CHARACTERS = 4_000
"""Of a question: what a search reads."""
MOST_GRADE = 10.0
"""The gain of a grade is 2^grade - 1: beyond this one document would be all that counts."""


class Query(Row):
    """One question. relevant: id of a document -> its grade, 1 where none was given; empty: the catalogue does not
    answer it. kind: by which scores are grouped, or empty.
    """

    query: str
    relevant: dict[str, float]
    kind: str = ""

    @property
    def answerable(self) -> bool:
        """Whether the catalogue answers it."""
        return any(grade > 0 for grade in self.relevant.values())


def queries_problem(path: Path) -> str | None:
    """Why a file cannot hold a query set; None where it may. What is in it `read_queries` says."""
    if not path.is_file():
        return f"there is no file {path}"
    try:
        kind = table_kind(path)
    except SourceError:
        kind = ""
    return None if kind == ".jsonl" else f"{path}: a query set is a file of JSON lines (.jsonl)"


def read_queries(path: Path, how: RetrievalEvaluation) -> list[Query]:
    """The questions of a file. Raises SourceError with `file:line: sentence` for all lines that are none, and for a
    file without questions.
    """
    found: dict[str, tuple[int, Query]] = {}
    mistakes: list[str] = []
    for number, record in read_table(path):
        query = _query(record, how)
        if isinstance(query, Query) and query.query in found:
            query = f"the question stands in line {found[query.query][0]} already: put all its documents into one line"
        if isinstance(query, Query):
            found[query.query] = (number, query)
        else:
            mistakes.append(f"{path}:{number}: {query}")
        if len(mistakes) == MOST_TOLD:
            break
    if mistakes:
        raise SourceError("\n".join(mistakes))
    if not found:
        raise SourceError(f"{path} has no questions")
    return [query for _, query in found.values()]


def _query(record: Record, how: RetrievalEvaluation) -> Query | str:
    """The question of a line, or what is wrong with it."""
    for key in (how.query, how.relevant):
        if key not in record:
            seen = ", ".join(list(record)[:20]) or "nothing"
            return f"there is no {key!r}; the line holds {seen} (evaluation.retrieval names the keys)"
    query, kind = record[how.query], record.get(how.kind)
    if not isinstance(query, str) or not query.strip():
        return f"{how.query!r} must be a question: text that is not empty"
    if len(query) > MOST_CHARACTERS:
        return f"{how.query!r} has {len(query):,} characters, and a search reads {MOST_CHARACTERS:,}"
    if kind is not None and not isinstance(kind, str):
        return f"{how.kind!r} must be a word"
    relevant = _relevant(record[how.relevant], how.relevant)
    if isinstance(relevant, str):
        return relevant
    return Query(query=" ".join(query.split()), relevant=relevant, kind=kind or "")


def _relevant(value: Any, key: str) -> dict[str, float] | str:
    """id -> grade, or what is wrong."""
    if isinstance(value, list):
        graded: Iterator[tuple[Any, Any]] = ((one, 1) for one in value)
    elif isinstance(value, dict):
        graded = iter(value.items())
    else:
        return f'{key!r} must be a list of ids of documents, or grades such as {{"B01": 2}}; an empty list where none'
    found: dict[str, float] = {}
    for document, grade in graded:
        name = _id(document)
        if not name:
            return f"{key!r} holds {document!r}, which is no id of a document"
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= MOST_GRADE:
            return f"{key!r}: the grade of {name} must be a number from 0 (of no use) to {MOST_GRADE:g}"
        found[name] = max(float(grade), found.get(name, 0.0))
    return found


def _id(value: Any) -> str:
    """An id as text, as the catalogue has it: 1, 1.0 and "1" are the same."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else str(value)
    return str(value).strip()

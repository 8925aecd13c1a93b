"""Rows that a student cannot be trained on: students/<name>/rejected.jsonl."""

from __future__ import annotations

from collections.abc import Sequence

from recipes.rows import Row, Split

REJECTED = "rejected.jsonl"
NAMED = 5
"""Rows that a sentence names before it says how many more there are."""


class Rejected(Row):
    """A row that a student cannot be trained on, as one line of the file. tokens: how many it has."""

    id: str
    split: Split
    reason: str
    tokens: int


def name_rows(ids: Sequence[str]) -> str:
    """Some ids, and how many more there are."""
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more

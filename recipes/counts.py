"""A number and its noun, in the right grammatical number."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 row`, `0 rows`, `1,200 rows`; the noun as of one, and regular."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

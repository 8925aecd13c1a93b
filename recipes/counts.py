"""A number as people read it, with its noun or in three digits."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 row`, `0 rows`, `1,200 rows`; the noun as of one, and regular."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(number: int) -> str:
    """Three digits of a large number, such as 8.03B."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return str(number)

"""Items of like length in batches: pure functions of lengths, for whatever goes through a model padded together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

PAD_TO = 8
"""Batches are padded to a multiple of this: what matrix units like."""


def padded_width(longest: int) -> int:
    """What a batch is padded to whose longest row has so many tokens."""
    return -(-longest // PAD_TO) * PAD_TO


def longest_first(places: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Rows by length; of the same length, in their order."""
    return sorted(places, key=lambda place: (-lengths[place], place))


def group(places: Sequence[int], lengths: Sequence[int], most: Callable[[int], int]) -> list[list[int]]:
    """Rows of like length in batches, longest first. most: how many of so long a row there may be in a batch; there is
    always one.
    """
    order, batches, start = longest_first(places, lengths), list[list[int]](), 0
    while start < len(order):
        count = max(1, most(lengths[order[start]]))
        batches.append(order[start : start + count])
        start += count
    return batches


def token_batches(lengths: Sequence[int], tokens: int, rows: int) -> list[list[int]]:
    """Places of all rows in batches of at most `rows` rows and, once padded, at most `tokens` tokens (or one row)."""
    return group(range(len(lengths)), lengths, lambda longest: min(rows, tokens // max(1, padded_width(longest))))

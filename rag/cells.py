"""What stands in a cell of a catalogue that is only text: a number, true or false, a word, or nothing."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?")
_PADDED = re.compile(r"[+-]?(?:0|[1-9]\d*)\.\d+0")
_TRUTH = {"true": True, "false": False}
_MISSING = frozenset(("", "n/a", "na", "none", "null", "nan", "-", "--", "?", "unknown"))
_WHOLE = 2**53
"""Up to here a float holds every whole number."""


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().lower() in _MISSING


def plain(text: str) -> int | float | bool | None:
    """The number, true or false that stands in a cell; None for any other text."""
    if text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if _NUMBER.fullmatch(text) is None:
        return None
    if "." not in text and len(text) <= 18:
        return int(text)
    return whole(float(text)) if math.isfinite(float(text)) else None  # hundreds of digits


def whole(number: float) -> int | float:
    """A number without a point that says nothing: 54, not 54.0."""
    return int(number) if number.is_integer() and abs(number) < _WHOLE else number


def padded(text: str) -> str | None:
    """A number in a cell as it is shown, where it ends in a nought that the number itself has not: 24.50, 7.00."""
    return text.lstrip("+") if _PADDED.fullmatch(text) else None

"""`brand=Acme price<20` -> a filter on metadata, for those who type it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from typing import Any

from rag.where import read_where
from recipes.errors import AskError

_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(<=|>=|!=|=|<|>)(.+)", re.DOTALL)
_ORDER = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_NUMBER = re.compile(r"[+-]?(\d{1,18}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")


def read_filter(text: str, names: Collection[str]) -> dict[str, Any]:
    """The filter that `text` says, all of whose conditions must hold. names: the metadata that there is.

    Raises AskError for what is no condition, or names something else.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise AskError("a quotation mark is not closed") from None
    conditions = [_condition(word) for word in words]
    where = conditions[0] if len(conditions) == 1 else {"$and": conditions}
    read_where(where, names)
    return where


def _condition(word: str) -> dict[str, Any]:
    found = _CONDITION.fullmatch(word)
    if found is None:
        raise AskError(f"{word!r} is no condition: write name=value, name!=value or name<value, without spaces in it")
    name, sign, text = found.groups()
    values = _readings(text)
    if sign in _ORDER:
        return {name: {_ORDER[sign]: values[0]}}
    return {name: {"$in" if sign == "=" else "$nin": values}}


def _readings(text: str) -> list[str | float | bool]:
    """What `text` may be in a catalogue: 20 is a number there, or a word."""
    if text in ("true", "false"):
        return [text == "true", text]
    if _NUMBER.fullmatch(text):
        return [int(text) if text.lstrip("+-").isdecimal() else float(text), text]
    return [text]

"""Filters on a document's metadata: Chroma's own words, checked, and what they mean.

{"brand": "Acme", "price": {"$lt": 20}}: all of it must hold. Operators: $eq $ne $gt $gte $lt $lte $in $nin, and $and
and $or over lists of filters. Words are compared exactly; numbers with numbers, whole or not; true and false are no
numbers. A document without a value holds for $ne and $nin alone, as in Chroma.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rag.documents import Value
from recipes.errors import AskError
from recipes.mistakes import did_you_mean

Where = Mapping[str, Any]
"""A filter as it is written."""

MOST_COMPARISONS = 64
MOST_VALUES = 256
"""Of one comparison."""
MOST_DEPTH = 8

_ORDER = frozenset({"$gt", "$gte", "$lt", "$lte"})
_MEMBERSHIP = frozenset({"$eq", "$ne", "$in", "$nin"})


@dataclass(frozen=True, slots=True)
class Compare:
    """One value against others: a single one, but for $in and $nin."""

    name: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Several conditions together."""

    operator: Literal["$and", "$or"]
    parts: tuple[Condition, ...]


Condition = Compare | Group
"""A filter that has been checked."""


def read_where(where: Where, names: Collection[str]) -> Condition:
    """Check a filter over the metadata called `names`. Raises AskError with one sentence."""
    condition = _whole(where, names, 0)
    if _size(condition) > MOST_COMPARISONS:
        raise AskError(f"the filter has {_size(condition)} comparisons; at most {MOST_COMPARISONS} are taken")
    return condition


def _whole(where: Any, names: Collection[str], depth: int) -> Condition:
    """A filter: all its keys must hold."""
    if depth > MOST_DEPTH:
        raise AskError(f"the filter is nested over {MOST_DEPTH} deep")
    if not isinstance(where, Mapping) or not where:
        raise AskError(f'a filter is an object like {{"brand": "Acme"}}, not {_shown(where)}')
    return _together("$and", [_condition(key, value, names, depth) for key, value in where.items()])


def _together(operator: Literal["$and", "$or"], parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Group(operator, tuple(parts))


def _condition(key: str, value: Any, names: Collection[str], depth: int) -> Condition:
    if key in ("$and", "$or"):
        if not isinstance(value, list) or not value or len(value) > MOST_COMPARISONS:
            raise AskError(f"{key} takes a list of filters, 1 to {MOST_COMPARISONS}, not {_shown(value)}")
        return _together("$and" if key == "$and" else "$or", [_whole(one, names, depth + 1) for one in value])
    if key not in names:
        none = "it has none to filter by: name columns in retrieval.catalogue.metadata"
        hint = did_you_mean(key, sorted(names)) if names else none
        raise AskError(f"the catalogue has no metadata {_shown(key)}; {hint}")
    if not isinstance(value, Mapping):
        return Compare(key, "$eq", (_single(key, value),))
    if not value:
        raise AskError(f'the filter of {key} is empty; write a value, or {{"$lt": 20}}')
    return _together("$and", [_compare(key, operator, operand) for operator, operand in value.items()])


def _compare(key: str, operator: str, operand: Any) -> Compare:
    if operator in _ORDER:
        if not _is_number(operand):
            raise AskError(f"{operator} of {key} takes a number, not {_shown(operand)}")
        return Compare(key, operator, (operand,))
    if operator in ("$in", "$nin"):
        if not isinstance(operand, list) or not 1 <= len(operand) <= MOST_VALUES:
            raise AskError(f"{operator} of {key} takes a list of 1 to {MOST_VALUES} values, not {_shown(operand)}")
        return Compare(key, operator, tuple(_single(key, one) for one in operand))
    if operator not in _MEMBERSHIP:
        known = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin"
        raise AskError(f"{key} has the operator {_shown(operator)}; there are {known}")
    return Compare(key, operator, (_single(key, operand),))


def _single(key: str, value: Any) -> Value:
    if isinstance(value, (str, bool)) or _is_number(value):
        return value  # type: ignore[no-any-return]
    raise AskError(f"{key} is compared with a word, a number, true or false, not {_shown(value)}")


def _is_number(value: Any) -> bool:
    """Finite, and no larger than the catalogue keeps them."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else abs(value) < float("inf")


def _size(condition: Condition) -> int:
    return sum(map(_size, condition.parts)) if isinstance(condition, Group) else 1


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

"""Filters on a document's metadata: Chroma's own words, checked, and what they mean.

{"brand": "Acme", "price": {"$lt": 20}}: all of it must hold. Operators: $eq $ne $gt $gte $lt $lte $in $nin, and $and
and $or over lists of filters. Words are compared exactly; numbers with numbers, whole or not; true and false are no
numbers. A document without a value holds for $ne and $nin alone, as in Chroma.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rag.documents import Value
from recipes.errors import AskError
from recipes.mistakes import did_you_mean

Where = Mapping[str, Any]
"""A filter as it is written."""

MOST_COMPARISONS = 64
MOST_VALUES = 256
MOST_DEPTH = 8

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}
_SQL_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_KIND = "IFNULL(json_type({}, ?), '')"
"""Never NULL, so that conditions are true or false and NOT can be said of them."""
_MEMBERSHIP = {"$eq": True, "$in": True, "$ne": False, "$nin": False}
"""Operator -> whether the value must be one of those named."""


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


def matches(condition: Condition, metadata: Mapping[str, Value]) -> bool:
    """Whether a document holds."""
    if isinstance(condition, Group):
        held = (matches(part, metadata) for part in condition.parts)
        return all(held) if condition.operator == "$and" else any(held)
    found, value = condition.name in metadata, metadata.get(condition.name)
    if condition.operator in _ORDER:
        return found and _is_number(value) and _ORDER[condition.operator](value, condition.values[0])  # type: ignore[arg-type]
    same = found and any(_kind(value) == _kind(other) and value == other for other in condition.values)
    return same == _MEMBERSHIP[condition.operator]


def to_sql(condition: Condition, column: str) -> tuple[str, list[str | float]]:
    """The condition over a JSON object in `column`, as an SQLite expression and its parameters."""
    if isinstance(condition, Group):
        parts = [to_sql(part, column) for part in condition.parts]
        joined = f" {condition.operator[1:].upper()} ".join(sql for sql, _ in parts)
        return f"({joined})", [value for _, values in parts for value in values]
    path = f'$."{condition.name}"'
    if condition.operator in _ORDER:
        sql = (
            f"({_KIND.format(column)} IN ('integer', 'real') AND "
            f"json_extract({column}, ?) {_SQL_ORDER[condition.operator]} ?)"
        )
        return sql, [path, path, float(condition.values[0])]
    equals = [_equal_sql(column, path, value) for value in condition.values]
    sql = "(" + " OR ".join(one for one, _ in equals) + ")"
    values = [value for _, parameters in equals for value in parameters]
    return (sql if _MEMBERSHIP[condition.operator] else f"(NOT {sql})"), values


def _equal_sql(column: str, path: str, value: Value) -> tuple[str, list[str | float]]:
    kind = _KIND.format(column)
    if isinstance(value, bool):
        return f"{kind} = '{'true' if value else 'false'}'", [path]
    kinds = "('text')" if isinstance(value, str) else "('integer', 'real')"
    return f"({kind} IN {kinds} AND json_extract({column}, ?) = ?)", [path, path, value]


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
        hint = did_you_mean(key, sorted(names)) if names else "the catalogue has no metadata to filter by"
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
        known = ", ".join([*_MEMBERSHIP, *_ORDER])
        raise AskError(f"{key} has the operator {_shown(operator)}; there are {known}")
    return Compare(key, operator, (_single(key, operand),))


def _single(key: str, value: Any) -> Value:
    if isinstance(value, (str, bool)) or _is_number(value):
        return value  # type: ignore[no-any-return]
    raise AskError(f"{key} is compared with a word, a number, true or false, not {_shown(value)}")


def _is_number(value: Any) -> bool:
    """Of a size that SQLite keeps too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 2**63 if isinstance(value, int) else abs(value) < float("inf")


def _kind(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _size(condition: Condition) -> int:
    return sum(map(_size, condition.parts)) if isinstance(condition, Group) else len(condition.values)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

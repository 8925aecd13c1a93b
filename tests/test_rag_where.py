"""Filters: what is refused, and that SQLite and Python mean the same by one."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.where import Compare, Group, matches, read_where, to_sql
from recipes.errors import AskError

NAMES = ("brand", "price", "new")
VALUES = st.one_of(
    st.sampled_from(["Acme", "acme", "", "1", "true", "né"]), st.booleans(), st.sampled_from([0, 1, 2, 1.0, 1.5, -3])
)
OPERATIONS = st.one_of(
    VALUES,
    st.dictionaries(st.sampled_from(["$eq", "$ne"]), VALUES, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.sampled_from([0, 1, 1.5]), min_size=1),
    st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(VALUES, min_size=1, max_size=3), min_size=1),
)
SIMPLE = st.dictionaries(st.sampled_from(NAMES), OPERATIONS, min_size=1, max_size=3)
FILTERS = st.recursive(
    SIMPLE,
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=4,
)
METADATA = st.dictionaries(st.sampled_from(NAMES), VALUES)


@given(FILTERS, METADATA)
def test_sqlite_and_python_agree(where: Any, metadata: dict[str, Any]) -> None:
    condition = read_where(where, NAMES)
    sql, values = to_sql(condition, "m")
    row = sqlite3.connect(":memory:").execute(f"SELECT {sql} FROM (SELECT ? AS m)", [*values, json.dumps(metadata)])
    assert row.fetchone() == (int(matches(condition, metadata)),)


def test_what_a_filter_means() -> None:
    cheap = read_where({"brand": "Acme", "price": {"$gte": 1, "$lt": 20}}, NAMES)
    assert matches(cheap, {"brand": "Acme", "price": 1})
    assert not matches(cheap, {"brand": "Acme", "price": 20.0})
    assert not matches(cheap, {"brand": "Acme"}), "no price is not below 20"
    assert matches(read_where({"brand": {"$ne": "Acme"}}, NAMES), {}), "as in Chroma"
    assert matches(read_where({"price": 1}, NAMES), {"price": 1.0})
    assert not matches(read_where({"price": 1}, NAMES), {"price": True})
    either = read_where({"$or": [{"brand": "A"}, {"new": True}]}, NAMES)
    assert either == Group("$or", (Compare("brand", "$eq", ("A",)), Compare("new", "$eq", (True,))))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "a filter is an object like"),
        ([], "a filter is an object like"),
        ({"brnd": "A"}, 'no metadata "brnd"; did you mean brand?'),
        ({"brand": {}}, "the filter of brand is empty"),
        ({"brand": {"$regex": "A"}}, 'the operator "$regex"; there are $eq, $in'),
        ({"price": {"$lt": "20"}}, 'takes a number, not "20"'),
        ({"price": {"$lt": True}}, "takes a number, not true"),
        ({"price": {"$in": []}}, "takes a list of 1 to 256 values"),
        ({"brand": None}, "is compared with a word, a number, true or false, not null"),
        ({"brand": float("nan")}, "is compared with"),
        ({"price": 10**30}, "is compared with"),
        ({"$or": {}}, "takes a list of filters"),
        ({"$or": ["x"]}, "a filter is an object like"),
        ({"price": {"$in": list(range(100))}}, "has 100 comparisons; at most 64"),
    ],
)
def test_what_is_no_filter(where: Any, said: str) -> None:
    with pytest.raises(AskError) as caught:
        read_where(where, NAMES)
    assert said in str(caught.value)


def test_a_deep_filter_is_refused_at_once() -> None:
    where: Any = {"brand": "A"}
    for _ in range(500):
        where = {"$and": [where]}
    with pytest.raises(AskError, match="nested over 8 deep"):
        read_where(where, NAMES)


def test_a_catalogue_without_metadata() -> None:
    with pytest.raises(AskError, match="no metadata to filter by"):
        read_where({"brand": "A"}, ())


def test_names_cannot_leave_the_json_path() -> None:
    with pytest.raises(AskError, match="no metadata"):
        read_where({'x" OR 1': "A"}, NAMES)

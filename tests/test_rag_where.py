"""Filters: what is refused, and what is left of the documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rag_runs import matches

from rag.columns import Columns
from rag.where import Compare, Group, read_where
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


@given(FILTERS, st.lists(METADATA, max_size=4))
def test_all_documents_at_once_hold_as_each_of_them_does(where: Any, rows: list[dict[str, Any]]) -> None:
    rows = [*rows, dict.fromkeys(NAMES, 1)]  # some number in each, so that an order can be asked
    condition = read_where(where, NAMES)
    assert Columns(NAMES, rows).mask(condition).tolist() == [matches(condition, row) for row in rows]


def test_an_order_over_words_is_a_mistake_and_one_over_nothing_finds_nothing() -> None:
    columns = Columns(NAMES, [{"price": "7.00"}, {"price": "35,00"}, {"price": "19.90", "brand": "Acme"}])
    with pytest.raises(AskError, match="price holds text in this catalogue, such as '35,00', and no number"):
        columns.mask(read_where({"price": {"$lt": 20}}, NAMES))
    assert columns.mask(read_where({"price": "19.90"}, NAMES)).tolist() == [False, False, True]
    assert not columns.mask(read_where({"new": {"$lt": 20}}, NAMES)).any()


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
        ({"brand": {"$regex": "A"}}, 'the operator "$regex"; there are $eq, $ne'),
        ({"price": {"$lt": "20"}}, 'takes a number, not "20"'),
        ({"price": {"$lt": True}}, "takes a number, not true"),
        ({"price": {"$in": []}}, "takes a list of 1 to 256 values"),
        ({"brand": None}, "is compared with a word, a number, true or false, not null"),
        ({"brand": float("nan")}, "is compared with"),
        ({"price": 10**30}, "is compared with"),
        ({"$or": {}}, "takes a list of filters"),
        ({"$or": ["x"]}, "a filter is an object like"),
        ({"price": {"$in": list(range(257))}}, "takes a list of 1 to 256 values"),
        ({"$or": [{"price": 1, "brand": "A"}] * 33}, "has 66 comparisons; at most 64"),
    ],
)
def test_what_is_no_filter(where: Any, said: str) -> None:
    with pytest.raises(AskError) as caught:
        read_where(where, NAMES)
    assert said in str(caught.value)


def test_as_many_values_as_are_promised() -> None:
    condition = read_where({"price": {"$in": list(range(256))}}, NAMES)
    assert Columns(NAMES, [{"price": 255}, {"price": 256}]).mask(condition).tolist() == [True, False]


def test_a_deep_filter_is_refused_at_once() -> None:
    where: Any = {"brand": "A"}
    for _ in range(500):
        where = {"$and": [where]}
    with pytest.raises(AskError, match="nested over 8 deep"):
        read_where(where, NAMES)


def test_a_catalogue_without_metadata() -> None:
    with pytest.raises(AskError, match=r"it has none to filter by: name columns in retrieval\.catalogue\.metadata"):
        read_where({"brand": "A"}, ())

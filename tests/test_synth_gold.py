"""Gold tuples of a text: each term in its place, places as numbers, slices, and what a text is rejected for."""

from __future__ import annotations

from typing import Any

import pytest

from recipes.rows import Aspect
from synth.cleaning import clean_text
from synth.content import Unfit
from synth.gold import Gold, decode_gold, read_gold


def gold(task: str, cell: Any, raw: str) -> Gold:
    return read_gold(task, cell, raw, clean_text(raw))


def term(target: str | None, start: Any = None, end: Any = None, polarity: str = "positive", **more: Any) -> Any:
    return {"target": target, "start": start, "end": end, "polarity": polarity, **more}


def test_terms_stand_in_the_order_of_their_place_whatever_its_type() -> None:
    raw = "x" * 8 + " soup" + " " + "y" * 90 + " bill"
    cell = [term("bill", "105", "109"), term("soup", "9", "13")]  # as strings "105" comes first
    found = gold("atsa", cell, raw).aspects
    assert [(aspect.target, aspect.start, aspect.end) for aspect in found] == [("soup", 9, 13), ("bill", 105, 109)]


def test_places_are_those_of_the_cleaned_text() -> None:
    raw = "  Fish &amp;amp; chips,\u00a0 cafe\u0301 and &quot;pie&quot;  "
    text = clean_text(raw)
    cell = [term(raw[at : at + size], at, at + size) for at, size in ((2, 20), (raw.index("cafe"), 5))]
    found = gold("atsa", cell, raw)
    assert found.elsewhere == 0
    assert [text[aspect.start : aspect.end] for aspect in found.aspects] == ["Fish & chips", "café"]
    assert [aspect.target for aspect in found.aspects] == ["Fish & chips", "café"]


def test_a_term_that_stands_twice_keeps_its_own_place() -> None:
    raw = "The bar: a bar, barely a bar."
    last = raw.rindex("bar")
    assert gold("atsa", [term("bar", last, last + 3)], raw).aspects[0].start == last
    unplaced = gold("atsa", [term("bar"), term("bar", polarity="negative"), term("bar")], raw).aspects
    assert [aspect.start for aspect in unplaced] == [4, 11, last]


def test_a_term_at_another_place_is_found_and_counted() -> None:
    raw = "A soup, a bill and a soup."
    found = gold("atsa", [term("bill", 0, 4), term("soup", 20, 24)], raw)
    assert found.elsewhere == 2
    assert [(aspect.target, aspect.start) for aspect in found.aspects] == [("bill", 10), ("soup", 21)]


def test_targets_of_null_are_no_terms_and_categories_all_the_same() -> None:
    cell = [
        {"target": "NULL", "category": "FOOD#QUALITY", "polarity": "negative", "from": "0", "to": "0"},
        {"target": "soup", "category": "FOOD#PRICES", "polarity": "positive", "from": "4", "to": "8"},
    ]
    atsa, acsa = gold("atsa", cell, "The soup."), gold("acsa", cell, "The soup.")
    assert (atsa.without_term, [aspect.target for aspect in atsa.aspects]) == (1, ["soup"])
    assert [aspect.category for aspect in acsa.aspects] == ["FOOD#QUALITY", "FOOD#PRICES"]
    assert atsa.slices == acsa.slices == {"mixed": "yes"}


def test_terms_and_categories_of_2014_stand_apart() -> None:
    cell = [
        {"kind": "term", "term": "soup", "polarity": "positive", "from": "4", "to": "8", "implicit_sentiment": "True"},
        {"kind": "category", "category": "food", "polarity": "negative"},
    ]
    atsa, acsa = gold("atsa", cell, "The soup."), gold("acsa", cell, "The soup.")
    assert atsa.aspects == [Aspect(target="soup", polarity="positive", start=4, end=8)]
    assert acsa.aspects == [Aspect(category="food", polarity="negative")]
    assert (atsa.slices, acsa.slices) == ({"implicit": "yes", "mixed": "no"}, {"mixed": "no"})


@pytest.mark.parametrize(
    ("tuples", "slices"),
    [
        ([], {"mixed": "no"}),
        ([{"opinion_words": "fast"}], {"implicit": "no", "mixed": "no"}),
        ([{"opinion_words": "fast"}, {"opinion_words": None}], {"implicit": "yes", "mixed": "no"}),
        ([{"opinion_words": []}], {"implicit": "yes", "mixed": "no"}),
        ([{"implicit": False}, {"polarity": "negative", "implicit": True}], {"implicit": "yes", "mixed": "yes"}),
        ([{"implicit_sentiment": "False"}], {"implicit": "no", "mixed": "no"}),
    ],
)
def test_slices_are_computed(tuples: list[dict[str, Any]], slices: dict[str, str]) -> None:
    assert gold("atsa", [term("soup") | told for told in tuples], "The soup.").slices == slices


@pytest.mark.parametrize(
    ("cell", "reason", "detail"),
    [
        ([term("stew", 0, 4)], "term_not_found", "'stew' stands nowhere"),
        ([term("soup", 4, 8, "mixed")], "unknown_polarity", "a polarity is 'mixed'; there is positive, negative"),
        ([term("soup", "four", 8)], "bad_aspects", "a place is 'four'"),
        ([term("soup", -1, 8)], "bad_aspects", "a place is '-1'"),
        ([term("soup", float("inf"), 8)], "bad_aspects", "a place is 'inf'"),
        ("{", "bad_aspects", "the cell is no JSON"),
        ({"target": "soup"}, "bad_aspects", "no list of objects"),
        (["soup"], "bad_aspects", "no list of objects"),
    ],
)
def test_what_cannot_be_used_has_a_reason(cell: Any, reason: str, detail: str) -> None:
    with pytest.raises(Unfit) as caught:
        gold("atsa", cell, "The soup.")
    assert caught.value.reason == reason
    assert detail in caught.value.detail


def test_a_category_must_be_there() -> None:
    with pytest.raises(Unfit, match="a tuple has no category"):
        gold("acsa", [term("soup")], "The soup.")


def test_cells_may_be_json() -> None:
    assert gold("atsa", '[{"term": "soup", "polarity": "POSITIVE", "from": 4, "to": 8.0}]', "The soup.").aspects == [
        Aspect(target="soup", polarity="positive", start=4, end=8)
    ]
    assert gold("atsa", "[]", "x").aspects == gold("acsa", [], "x").aspects == []


@pytest.mark.parametrize("cell", [None, "", " "])
def test_what_nobody_has_marked_is_not_gold_without_tuples(cell: Any) -> None:
    with pytest.raises(Unfit) as caught:
        gold("atsa", cell, "The soup.")
    assert caught.value.reason == "no_aspects"


@pytest.mark.parametrize("told", [term("x"), term("x", 500, 501), term("soup", 0, 4)])
def test_a_part_of_a_word_is_no_term(told: dict[str, Any]) -> None:
    with pytest.raises(Unfit) as caught:
        gold("atsa", [told], "An excellent soupspoon.")
    assert caught.value.reason == "term_not_found"


@pytest.mark.parametrize(
    ("raw", "told", "start"),
    [
        ("An excellent soupspoon.", term("soup", 13, 17), 13),  # the source says so
        ("\u8fd9\u7535\u6c60\u597d", term("\u7535\u6c60"), 1),  # Chinese parts no words
        ("\ubc30\ud130\ub9ac\uac00 \uc88b\ub2e4", term("\ubc30\ud130\ub9ac"), 0),  # a particle
        ("It is US$5 a cup.", term("$5"), 8),
        ("_Soup_ of the day", term("Soup", 9, 13), 1),
    ],
)
def test_whole_words_are_those_of_the_script(raw: str, told: dict[str, Any], start: int) -> None:
    assert gold("atsa", [told], raw).aspects[0].start == start


def test_gold_survives_a_field() -> None:
    found = gold("atsa", [term("soup", 0, 4, implicit=True)], "The soup.")
    assert decode_gold(found.encode()) == found

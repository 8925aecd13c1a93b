"""The published metric of arXiv 2412.18552, by hand and beside its definition over lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.rows import Aspect
from recipes.tuple_counts import (
    Pair,
    TupleCounts,
    count_tuples,
    gold_pairs,
    read_pairs,
    sum_counts,
)

FOOD, SERVICE, WINE = ("food", "positive"), ("service", "negative"), ("wine", "neutral")


def test_the_metric_by_hand() -> None:
    """Four texts: one right and one wrong; nothing predicted; a tuple where there is none; one right, written twice,
    with an invalid piece. Right 3 of 5 predicted, found 2 of 4 gold: precision 0.6, recall 0.5, F1 = 0.6 / 1.1.
    """
    counts = sum_counts(
        [
            count_tuples([FOOD, SERVICE], [FOOD, ("service", "positive")]),
            count_tuples([WINE], []),
            count_tuples([], [("bar", "positive")]),
            count_tuples([SERVICE], [SERVICE, SERVICE], invalid=1),
        ]
    )
    assert counts == TupleCounts(right=3, predicted=5, found=2, gold=4, invalid=1, once=2)
    assert counts.precision == pytest.approx(0.6)
    assert counts.recall == pytest.approx(0.5)
    assert counts.f1 == pytest.approx(0.6 / 1.1)
    assert counts.f1_strict == pytest.approx(2 * (2 / 6) * 0.5 / (2 / 6 + 0.5)), "2 of 6, found 2 of 4"
    assert counts.invalid_rate == pytest.approx(1 / 6)


def test_micro_is_of_the_sums_and_no_mean_of_texts() -> None:
    first, second = count_tuples([FOOD], [FOOD]), count_tuples([SERVICE, WINE], [("service", "positive")])
    assert (first.f1, second.f1) == (1.0, 0.0)
    assert (first + second).f1 == pytest.approx(2 * 1 / (2 + 3)), "not the mean 0.5 of the two texts"


@pytest.mark.parametrize(
    ("gold", "predicted", "precision", "recall", "f1"),
    [
        ([], [], None, None, None),
        ([], [FOOD], 0.0, None, 0.0),
        ([FOOD], [], None, 0.0, 0.0),
        ([FOOD], [SERVICE], 0.0, 0.0, 0.0),
        ([FOOD], [FOOD], 1.0, 1.0, 1.0),
    ],
)
def test_empty_gold_and_empty_predictions(
    gold: list[Pair], predicted: list[Pair], precision: float | None, recall: float | None, f1: float | None
) -> None:
    counts = count_tuples(gold, predicted)
    assert (counts.precision, counts.recall, counts.f1) == (precision, recall, f1)


def test_invalid_predictions_are_reported_and_left_out_of_f1() -> None:
    counts = count_tuples([FOOD], [FOOD], invalid=3)
    assert (counts.f1, counts.invalid_rate) == (1.0, 0.75)
    assert counts.f1_strict == pytest.approx(0.4), "1 right of 4, 1 of 1 found"


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["positive", "negative"])), max_size=5)
TEXTS = st.lists(st.tuples(PAIRS, PAIRS), min_size=1, max_size=6)


@given(TEXTS)
def test_it_is_the_definition_over_lists(texts: list[tuple[list[Pair], list[Pair]]]) -> None:
    """Each list holds (text, pair) of all texts; a share of a list that is in the other list."""
    gold = [(number, pair) for number, (pairs, _) in enumerate(texts) for pair in pairs]
    said = [(number, pair) for number, (_, pairs) in enumerate(texts) for pair in pairs]
    counts = sum_counts(count_tuples(there, pairs) for there, pairs in texts)
    assert counts.right == len([one for one in said if gold.count(one)])
    assert counts.found == len([one for one in gold if said.count(one)])
    assert (counts.predicted, counts.gold) == (len(said), len(gold))


@given(TEXTS)
def test_without_repeats_it_is_the_usual_f1(texts: list[tuple[list[Pair], list[Pair]]]) -> None:
    alone = [(set(gold), set(said)) for gold, said in texts]
    counts = sum_counts(count_tuples(gold, said) for gold, said in alone)
    hits = sum(len(gold & said) for gold, said in alone)
    total = sum(len(gold) + len(said) for gold, said in alone)
    assert counts.f1 == (None if not total else pytest.approx(2 * hits / total))


def test_terms_must_stand_in_the_text_letter_by_letter() -> None:
    text = "The Wine list was short; service slow."
    pairs, invalid = read_pairs("atsa", "Wine list | positive ; wine list | negative ; soup | neutral ; service", text)
    assert pairs == (("Wine list", "positive"),)
    assert invalid == 3, "another case, another word, and a piece without a polarity"


def test_a_circle_is_flattered_as_published_and_not_by_strict_f1() -> None:
    counts = count_tuples([FOOD], [FOOD] * 9 + [SERVICE])
    assert counts.f1 == pytest.approx(2 * 0.9 / 1.9)
    assert counts.f1_strict == pytest.approx(2 * 0.1 / 1.1)


def test_a_polarity_that_is_none_is_invalid() -> None:
    assert read_pairs("acsa", "food quality superb ; food quality positive", "Great soup.") == (
        (("food quality", "positive"),), 1,
    )  # fmt: skip


def test_conflict_is_a_polarity_like_the_others() -> None:
    pairs, invalid = read_pairs("atsa", "soup | conflict", "The soup was fine and cold.")
    assert (pairs, invalid) == ((("soup", "conflict"),), 0)


def test_a_ligature_does_not_lose_a_term() -> None:
    """T5's tokenizer writes ﬁ as fi: the term is compared as both would be written."""
    text, aspect = "The ﬁsh was raw…", Aspect(target="ﬁsh", polarity="negative", start=4, end=7)
    assert read_pairs("atsa", "fish | negative", text) == (gold_pairs("atsa", [aspect]), 0)


def test_places_are_numbers() -> None:
    """The published code sorted offsets as strings: 100 came before 20."""
    late = Aspect(target="soup", polarity="negative", start=100, end=104)
    soon = Aspect(target="tea", polarity="positive", start=20, end=23)
    assert gold_pairs("atsa", [late, soon]) == (("tea", "positive"), ("soup", "negative"))


def test_a_gold_tuple_that_is_written_in_two_ways_counts_once() -> None:
    twice = [Aspect(target=term, polarity="positive") for term in ("ﬁsh", "fish")]
    assert gold_pairs("atsa", twice) == (("fish", "positive"),)

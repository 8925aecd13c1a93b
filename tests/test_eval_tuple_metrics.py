"""Figures made of sums over rows: seeds apart, edges, intervals and the paired bootstrap."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.tuple_metrics import (
    TUPLE_SHAPES,
    bootstrap_p,
    label_sheet,
    mean_sheet,
    paired_difference,
    tuple_sheet,
)
from recipes.evaluation import Evaluation
from recipes.tuple_counts import TupleCounts, count_tuples

HOW = Evaluation(resamples=200)
HIT, MISS = count_tuples([("a", "positive")], [("a", "positive")]), count_tuples([("a", "positive")], [])
COUNTS = st.builds(
    lambda right, wrong, found, lost, invalid: TupleCounts(
        right, right + wrong, found, found + lost, invalid, min(right, found)
    ),
    *[st.integers(0, 4)] * 5,
)


@given(COUNTS)
def test_arrays_and_counts_say_the_same(one: TupleCounts) -> None:
    sums = np.array(astuple(one), dtype=np.float64)
    named = {"precision": one.precision, "recall": one.recall, "f1": one.f1, "f1_strict": one.f1_strict}
    for name, value in (named | {"invalid": one.invalid_rate}).items():
        found = float(TUPLE_SHAPES[name](sums))
        assert math.isnan(found) if value is None else found == pytest.approx(value)


def test_seeds_are_scored_one_by_one_then_averaged() -> None:
    """Seed 1 is right on both texts, seed 2 on one of two: F1 1 and 2/3; not the F1 of all four answers (6/7)."""
    sheet = tuple_sheet([[HIT, HIT], [HIT, MISS]])
    assert sheet.values("f1") == [1.0, pytest.approx(2 / 3)]
    figure = sheet.figures(HOW)["f1"]
    assert figure.value == pytest.approx(5 / 6)
    assert figure.deviation == pytest.approx(np.std([1, 2 / 3], ddof=1))


def test_a_seed_without_a_figure_leaves_none() -> None:
    """Precision of a seed that predicted nothing: no mean over the other seed alone, and no NaN."""
    sheet = tuple_sheet([[HIT, HIT], [MISS, MISS]])
    assert sheet.values("precision") == [1.0, None]
    figures = sheet.figures(HOW)
    assert figures["precision"].value is None
    assert figures["f1"].value == pytest.approx(0.5)


def test_no_rows_no_figures() -> None:
    sheet = tuple_sheet([[HIT, MISS]]).only(np.array([False, False]))
    assert all(figure.value is None for figure in sheet.figures(HOW).values())


def test_the_interval_holds_the_figure() -> None:
    figure = tuple_sheet([[HIT, MISS] * 30]).figures(HOW)["f1"]
    assert figure.low is not None and figure.high is not None and figure.value is not None
    assert figure.low < figure.value < figure.high


def test_rows_without_a_value_are_no_zeros() -> None:
    sheet = mean_sheet("chrf", [np.array([0.5, np.nan, 0.7])])
    assert sheet.values("chrf") == [pytest.approx(0.6)]


def test_labels() -> None:
    """Gold 0 0 1 2, said 0 1 1 0: accuracy 2/4; F1 of the labels 1/2, 2/3 and 0."""
    sheet = label_sheet([0, 0, 1, 2], [[0, 1, 1, 0]], 3)
    assert sheet.values("accuracy") == [0.5]
    assert sheet.values("macro_f1") == [pytest.approx((1 / 2 + 2 / 3 + 0) / 3)]


def test_the_same_answers_differ_by_nothing() -> None:
    sheet = tuple_sheet([[HIT, MISS] * 10])
    found = paired_difference(sheet, sheet, "f1", HOW)
    assert found is not None
    assert (found.figure.value, found.figure.low, found.figure.high, found.p) == (0, 0, 0, 1.0)


def test_a_difference_on_all_texts_is_found_and_turned_round() -> None:
    good, bad = tuple_sheet([[HIT] * 20, [HIT] * 20]), tuple_sheet([[HIT] * 10 + [MISS] * 10, [MISS] * 20])
    found, back = paired_difference(good, bad, "f1", HOW), paired_difference(bad, good, "f1", HOW)
    assert found is not None and back is not None
    assert (found.first, found.second) == (1.0, pytest.approx(1 / 3)), "seeds: 1 and 1; 2/3 and 0"
    assert found.p == back.p == pytest.approx(2 / 201)
    assert found.figure.value == -(back.figure.value or 0)
    assert found.figure.low == pytest.approx(-(back.figure.high or 0))


def test_texts_are_paired() -> None:
    """Both err on the same texts: paired, the difference has no spread, however wide the interval of each."""
    same = [HIT, MISS] * 15
    first, second = tuple_sheet([same]), tuple_sheet([same[:]])
    found = paired_difference(first, second, "f1", HOW)
    assert found is not None and found.spread == 0


def test_the_paired_bootstrap_by_hand() -> None:
    """Two texts; the first model is right on both, the second on one. Of four draws two have each text once (F1 1 and
    2/3), one that text twice (1 and 1), one the other twice (1 and 0): the difference is 1/3, 0 and 1.
    """
    first, second, how = tuple_sheet([[HIT, HIT]]), tuple_sheet([[HIT, MISS]]), Evaluation(resamples=20_000)
    apart = 1 - second.shapes["f1"](second.drawn(how))[:, 0]
    assert [float(np.mean(np.isclose(apart, value))) for value in (0, 1 / 3, 1)] == pytest.approx(
        [1 / 4, 1 / 2, 1 / 4], abs=0.02
    )
    found = paired_difference(first, second, "f1", how)
    assert found is not None
    assert (found.figure.value, found.figure.low, found.figure.high) == (pytest.approx(1 / 3), 0.0, 1.0)
    assert found.p == pytest.approx(2 * 1 / 4, abs=0.02), "0 is on the other side: a quarter of the draws"


def test_p_from_draws() -> None:
    assert bootstrap_p(np.array([1.0] * 99)) == pytest.approx(0.02)
    assert bootstrap_p(np.array([1.0, -1.0] * 50)) == 1.0
    assert bootstrap_p(np.zeros(10)) == 1.0

"""eval.metrics against figures worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, precision_recall_fscore_support

from eval.metrics import (
    MISSING,
    accuracy,
    accuracy_all,
    calibration_error,
    confusion,
    coverage,
    kappa,
    macro_f1,
    per_class,
    reliability,
)

# Ten rows, three labels. Row 8 is unanswered, row 9 has no gold label.
GOLD = np.array([0, 0, 0, 1, 1, 2, 2, 2, 1, MISSING])
SAID = np.array([0, 0, 1, 1, 1, 2, 0, 2, MISSING, 2])


def test_confusion_has_a_column_for_the_unanswered() -> None:
    assert confusion(GOLD, SAID, 3).tolist() == [[2, 1, 0, 0], [0, 2, 0, 1], [1, 0, 2, 0]]


def test_figures_by_hand() -> None:
    matrix = confusion(GOLD, SAID, 3)
    assert accuracy(matrix) == 6 / 8
    assert accuracy_all(matrix) == 6 / 9
    assert coverage(SAID) == 9 / 10
    zero, one, two = per_class(matrix)
    assert (zero.precision, zero.recall, zero.f1, zero.support) == (2 / 3, 2 / 3, 2 / 3, 3)
    assert (one.precision, one.recall, one.f1, one.support) == (2 / 3, 1.0, 0.8, 2)
    assert (two.precision, two.recall, two.f1, two.support) == (1.0, 2 / 3, 0.8, 3)
    assert float(macro_f1(matrix)) == pytest.approx((2 / 3 + 0.8 + 0.8) / 3)
    # chance: (3*3 + 2*3 + 3*2) / 64 = 21/64
    assert kappa(matrix) == pytest.approx((6 / 8 - 21 / 64) / (1 - 21 / 64))


def test_no_gold_labels_give_no_figures() -> None:
    matrix = confusion(np.array([MISSING, MISSING]), np.array([0, 1]), 2)
    assert accuracy(matrix) is None
    assert accuracy_all(matrix) is None
    assert kappa(matrix) is None
    assert np.isnan(macro_f1(matrix))
    assert [one.f1 for one in per_class(matrix)] == [None, None]


def test_nothing_answered_is_not_zero_accuracy() -> None:
    matrix = confusion(np.array([0, 1]), np.array([MISSING, MISSING]), 2)
    assert accuracy(matrix) is None
    assert accuracy_all(matrix) == 0.0
    assert coverage(np.array([MISSING, MISSING])) == 0.0
    assert coverage(np.array([], dtype=np.int64)) is None


def test_kappa_is_none_where_chance_agrees_on_every_row() -> None:
    assert kappa(confusion(np.array([1, 1]), np.array([1, 1]), 2)) is None


def test_a_label_nobody_uses_has_no_f1_and_does_not_pull_the_mean_down() -> None:
    matrix = confusion(np.array([0, 1]), np.array([0, 1]), 3)
    assert float(macro_f1(matrix)) == 1.0
    assert per_class(matrix)[2].f1 is None


def test_calibration_by_hand() -> None:
    confidence = np.array([0.61, 0.63, 0.95, 0.99, 1.0])
    correct = np.array([True, False, True, True, True])
    bins = reliability(confidence, correct, bins=10)
    assert [(one.low, one.count) for one in bins] == [(0.6, 2), (0.9, 3)]
    assert bins[0].accuracy == 0.5
    assert bins[0].confidence == pytest.approx(0.62)
    assert calibration_error(bins) == pytest.approx((2 * 0.12 + 3 * (1 - 2.94 / 3)) / 5)
    assert calibration_error([]) is None


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin() -> None:
    bins = reliability(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), bins=2)
    assert [(one.low, one.high, one.count) for one in bins] == [(0.0, 0.5, 2), (0.5, 1.0, 1)]


ANSWERS = st.integers(2, 5).flatmap(
    lambda labels: st.tuples(
        st.just(labels),
        st.lists(
            st.tuples(st.integers(MISSING, labels - 1), st.integers(MISSING, labels - 1)), min_size=1, max_size=60
        ),
    )
)


@given(ANSWERS)
@settings(max_examples=80, deadline=None)
def test_standard_figures_are_scikit_learns(case: tuple[int, list[tuple[int, int]]]) -> None:
    labels, pairs = case
    gold, said = np.array(pairs).T
    matrix = confusion(gold, said, labels)
    both = (gold != MISSING) & (said != MISSING)
    assert matrix.sum() == (gold != MISSING).sum()
    if not both.any():
        assert accuracy(matrix) is None
        return
    gold, said = gold[both], said[both]
    assert accuracy(matrix) == pytest.approx(accuracy_score(gold, said))
    assert float(macro_f1(matrix)) == pytest.approx(f1_score(gold, said, average="macro", zero_division=0.0))
    if len(set(gold) | set(said)) > 1:
        assert kappa(matrix) == pytest.approx(cohen_kappa_score(gold, said))
    theirs = precision_recall_fscore_support(gold, said, labels=range(labels), zero_division=0.0)
    for ours, precision, recall, f1, support in zip(per_class(matrix), *theirs, strict=True):
        assert (ours.precision or 0.0, ours.recall or 0.0) == pytest.approx((precision, recall))
        assert (ours.f1 or 0.0, ours.support) == (pytest.approx(f1), support)

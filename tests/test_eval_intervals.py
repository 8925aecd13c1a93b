"""eval.intervals: intervals and paired tests against hand-computed and brute-force answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.intervals import bootstrap_macro_f1, bootstrap_mean, holm, holm_within, mcnemar, wilson
from eval.metrics import MISSING, confusion, macro_f1


def test_wilson_by_hand() -> None:
    # p = 0.8, n = 10, z = 1.959964: centre (p + z2/2n) / (1 + z2/n), half width as in Wilson (1927)
    found = wilson(8, 10, 0.95)
    z2 = 1.959964**2
    centre = (0.8 + z2 / 20) / (1 + z2 / 10)
    half = 1.959964 * np.sqrt(0.8 * 0.2 / 10 + z2 / 400) / (1 + z2 / 10)
    assert (found.low, found.high) == (pytest.approx(centre - half, abs=1e-6), pytest.approx(centre + half, abs=1e-6))


def test_wilson_does_not_collapse_at_the_ends() -> None:
    assert wilson(10, 10, 0.95).low < 0.75
    assert wilson(0, 10, 0.95).high > 0.25


def test_mcnemar_by_hand() -> None:
    # 1 row only the first has right, 6 only the second: two-sided 2 * (C(7,0) + C(7,1)) / 2^7 = 16/128
    first = np.array([True] * 4 + [True] + [False] * 6 + [False])
    second = np.array([True] * 4 + [False] + [True] * 6 + [False])
    found = mcnemar(first, second)
    assert (found.rows, found.only_first, found.only_second) == (12, 1, 6)
    assert found.p == pytest.approx(16 / 128)


def test_mcnemar_of_models_that_never_differ() -> None:
    same = np.array([True, False, True])
    assert mcnemar(same, same).p == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_families_are_corrected_apart() -> None:
    """0.01 and 0.04 of one family: 0.02 and 0.04; the 0.03 of another stands alone."""
    held = holm_within(["a", "b", "a"], [0.01, 0.03, 0.04])
    assert [p for p, _ in held] == pytest.approx([0.02, 0.03, 0.04])
    assert [size for _, size in held] == [2, 1, 2]
    assert holm_within([], []) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(raw <= fixed <= 1 for raw, fixed in zip(p_values, corrected, strict=True))
    places = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [corrected[place] for place in places] == sorted(corrected)


def test_the_bootstrap_is_the_one_that_draws_rows_one_by_one() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 200)
    said = np.where(rng.random(200) < 0.7, gold, rng.integers(0, 3, 200))
    said[:10] = MISSING
    draws = np.random.default_rng(1).integers(0, 200, (4000, 200))
    slow = [float(macro_f1(confusion(gold[rows], said[rows], 3))) for rows in draws]
    fast = bootstrap_macro_f1(gold, [said], 3, 0.95, 4000, seed=2)
    assert (fast.low, fast.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.01)
    right = (gold == said).astype(float)
    slow_mean = right[draws].mean(axis=1)
    fast_mean = bootstrap_mean(right, 0.95, 4000, seed=2)
    assert (fast_mean.low, fast_mean.high) == pytest.approx(tuple(np.quantile(slow_mean, [0.025, 0.975])), abs=0.01)


def test_the_bootstrap_is_seeded_and_holds_the_figure() -> None:
    gold = np.array([0, 1, 0, 1, 0, 1, 0, 1, 1, 0] * 5)
    said = np.array([0, 1, 0, 0, 0, 1, 1, 1, 1, 0] * 5)
    once = bootstrap_macro_f1(gold, [said, gold], 2, 0.9, 500, seed=7)
    assert once == bootstrap_macro_f1(gold, [said, gold], 2, 0.9, 500, seed=7)
    mean = (float(macro_f1(confusion(gold, said, 2))) + 1.0) / 2
    assert once.low <= mean <= once.high


def test_rows_without_gold_do_not_move_macro_f1() -> None:
    gold = np.array([0, 1] * 20 + [MISSING] * 10)
    said = np.array([0, 1] * 25)
    assert bootstrap_macro_f1(gold, [said], 2, 0.95, 200, seed=0).low == 1.0


def test_a_difference_interval_covers_its_confidence_of_the_time() -> None:
    rng = np.random.default_rng(3)
    truth, held = 0.05, 0
    for trial in range(200):
        values = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.75, 0.15], size=300)
        found = bootstrap_mean(values, 0.9, 400, seed=trial)
        held += found.low <= truth <= found.high
    assert 165 <= held <= 195

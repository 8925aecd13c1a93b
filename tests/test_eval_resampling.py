"""Ratios over rows: values, bootstrap intervals and permutation tests, by hand and by brute force."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.resampling import (
    EXACT,
    Tally,
    bootstrap_difference,
    bootstrap_ratio,
    mean_tally,
    permutation_test,
)

NAN = math.nan


def test_a_ratio_is_of_sums_and_leaves_unscored_rows_out() -> None:
    tally = Tally(np.array([1.0, NAN, 5.0]), np.array([2.0, 100.0, 10.0]))
    assert tally.value() == pytest.approx(6 / 12)
    assert tally.scored.tolist() == [True, False, True]
    assert mean_tally(np.array([0.0, 1.0, NAN])).value() == 0.5
    assert mean_tally(np.array([NAN])).value() is None
    assert bootstrap_ratio([mean_tally(np.array([NAN]))], 0.95, 100, 0) is None


def test_the_bootstrap_is_the_one_that_draws_rows_one_by_one() -> None:
    rng = np.random.default_rng(0)
    wholes = rng.integers(5, 50, 150).astype(float)
    parts = wholes * rng.uniform(0.5, 1.5, 150)
    parts[:9] = NAN
    found = bootstrap_ratio([Tally(parts, wholes)], 0.95, 4000, 1)
    rows = np.random.default_rng(2).integers(0, 150, (4000, 150))
    slow = np.nansum(parts[rows], axis=1) / np.where(np.isnan(parts), 0, wholes)[rows].sum(axis=1)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.004)


def test_pairs_are_drawn_together() -> None:
    hard = np.random.default_rng(0).normal(0, 5, 200)  # how hard a row is moves both models alike
    ours, theirs = mean_tally(hard + 1), mean_tally(hard)
    found = bootstrap_difference([ours], [theirs], 0.95, 500, 0)
    assert (found.low, found.high) == pytest.approx((1, 1))
    apart = bootstrap_ratio([ours], 0.95, 500, 0)
    assert apart is not None
    assert apart.high - apart.low > 0.5


def test_seeds_are_averaged() -> None:
    one, two = mean_tally(np.zeros(50)), mean_tally(np.ones(50))
    found = bootstrap_ratio([one, two], 0.95, 100, 0)
    assert found is not None
    assert (found.low, found.high) == (0.5, 0.5)


def test_permutation_by_hand() -> None:
    # sums of all signs of (3, 2, 1): |sum| >= 6 for 2 of 8; rows without a difference say nothing
    assert permutation_test(np.array([3.0, 2.0, 1.0, 0.0]), 0) == pytest.approx(2 / 8)
    assert permutation_test(np.array([0.1, 0.2, -0.3]), 0) == 1.0
    assert permutation_test(np.zeros(5), 0) == permutation_test(np.array([]), 0) == 1.0
    assert permutation_test(np.full(100, 0.3), 0) == pytest.approx(1 / 10_001)


@given(st.lists(st.integers(-5, 5), max_size=9))
@settings(max_examples=50, deadline=None)
def test_few_rows_are_tested_exactly(values: list[int]) -> None:
    assert len(values) <= EXACT
    sums = [abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) for signs in
            product((1, -1), repeat=len(values))]  # fmt: skip
    expected = sum(one >= abs(sum(values)) for one in sums) / len(sums)
    assert permutation_test(np.array(values, dtype=float), 0) == pytest.approx(expected)


def test_many_rows_agree_with_the_exact_test() -> None:
    from scipy.stats import permutation_test as exact

    values = np.random.default_rng(3).normal(0.25, 1, 60)
    theirs = exact((values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1)
    assert permutation_test(values, 0) == pytest.approx(theirs.pvalue, abs=0.015)
    assert permutation_test(values, 0) == permutation_test(-values, 0)

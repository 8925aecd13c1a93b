"""eval.power: what a test could have found, against the test itself run on draws of a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from eval.intervals import mcnemar
from eval.power import POWER, detectable_mean, detectable_share
from eval.resampling import permutation_test


def share_found(rows: int, apart: float, difference: float, level: float, trials: int = 3000) -> float:
    """How often exact McNemar finds a true difference where a share `apart` of the rows has one alone right."""
    rng = np.random.default_rng(0)
    chances = [(apart + difference) / 2, max(0.0, (apart - difference) / 2), 1 - apart]
    p_of: dict[tuple[int, int], float] = {}
    found = 0
    for first, second, _ in rng.multinomial(rows, chances, size=trials).tolist():
        if (first, second) not in p_of:
            right = np.array([True] * first + [False] * second, dtype=np.bool_)
            p_of[first, second] = mcnemar(right, ~right).p
        found += p_of[first, second] < level
    return found / trials


@pytest.mark.parametrize(
    ("rows", "apart", "level"),
    [(200, 0, 0.05), (60, 5, 0.05), (10, 8, 0.05), (44, 20, 0.05), (901, 180, 0.05), (901, 180, 0.005)],
)
def test_the_test_finds_such_a_difference_four_times_in_five(rows: int, apart: int, level: float) -> None:
    least = detectable_share(rows, apart, level)
    assert least is not None
    assert share_found(rows, max(apart / rows, least), least, level) == pytest.approx(POWER, abs=0.025)
    smaller = 0.8 * least
    assert share_found(rows, max(apart / rows, smaller), smaller, level) < 0.7


def test_two_that_never_differed_could_differ_by_more_than_it_seems() -> None:
    # 6 rows apart, all one way, are the fewest with p < 0.05; 4 points of 200 rows are 8
    assert detectable_share(200, 0, 0.05) == pytest.approx(0.0392, abs=1e-4)
    assert share_found(200, 0.014, 0.014, 0.05) < 0.1


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_so_few_rows_find_nothing(rows: int) -> None:
    assert [detectable_share(rows, apart, 0.05) for apart in (0, rows)] == [None, None]
    assert share_found(rows, 1.0, 1.0, 0.05) == 0
    assert detectable_mean(np.arange(float(rows)), 0.05) is None


def test_fewer_rows_or_a_harder_test_need_a_larger_difference() -> None:
    found = [
        detectable_share(rows, rows // 5, level) or 1
        for rows, level in [(2000, 0.05), (500, 0.05), (500, 0.01), (6, 0.05)]
    ]
    assert found == sorted(set(found))
    assert detectable_share(6, 0, 0.05) is not None


def test_a_mean_by_hand() -> None:
    # deviation 2 over 100 rows, of the normal: (1.95996 + 0.84162) * 0.2 = 0.5603; with t of 99 degrees a little more
    values = np.tile([2.0, -2.0], 50) * 2 / np.std(np.tile([2.0, -2.0], 50), ddof=1)
    assert detectable_mean(values, 0.05) == pytest.approx(0.566, abs=0.002)
    assert detectable_mean(np.zeros(50), 0.05) is None


@pytest.mark.parametrize("rows", [8, 12, 40])
def test_the_permutation_test_finds_such_a_mean_four_times_in_five(rows: int) -> None:
    values = np.random.default_rng(5).normal(size=rows)
    values = (values - values.mean()) / np.std(values, ddof=1)
    least = detectable_mean(values, 0.05)
    assert least is not None
    trials = 300
    rng = np.random.default_rng(1)
    drawn = rng.normal(least, 1, size=(trials, rows))
    assert np.mean([permutation_test(row, 0) < 0.05 for row in drawn]) == pytest.approx(POWER, abs=0.08)


@pytest.mark.parametrize("rows", [6, 37, 149, 901])
def test_any_number_of_rows_apart_has_a_difference_within_it(rows: int) -> None:
    for apart in range(rows + 1):
        found = detectable_share(rows, apart, 0.05 / 3)
        assert found is None or 0 < found <= 1
        assert found is None or apart == 0 or found <= max(apart / rows, detectable_share(rows, 0, 0.05 / 3) or 1)

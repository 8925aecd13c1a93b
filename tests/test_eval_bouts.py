"""Rulings of a judge, by hand: wins, ties, flips, and what says that the judge looks at places or lengths."""

from __future__ import annotations

import pytest

from eval.bouts import Bout, Ruling, sign_test, tally_rulings
from recipes.evaluation import Evaluation

HOW = Evaluation(resamples=200)


def ruling(*verdicts: str, words: tuple[int, int] = (10, 20), other: str = "teacher", unscored: str = "") -> Ruling:
    return Ruling(Bout("tuned", other, "teacher", 0, words), verdicts, unscored)


@pytest.mark.parametrize(
    ("first", "second", "score", "flipped"),
    [
        ("a", "b", 1.0, False),  # the student's answer both times
        ("b", "a", 0.0, False),
        ("a", "a", 0.5, True),  # whatever stands first
        ("b", "b", 0.5, True),
        ("tie", "tie", 0.5, False),
        ("a", "tie", 0.5, True),
        ("tie", "a", 0.5, True),
    ],
)
def test_two_orders_make_one_ruling(first: str, second: str, score: float, flipped: bool) -> None:
    one = ruling(first, second)
    assert (one.score, one.flipped) == (score, flipped)


def test_figures_by_hand() -> None:
    rulings = [
        *[ruling("a", "b", words=(30, 20))] * 3,  # three wins, all with the longer answer
        ruling("b", "a"),  # lost to the longer one
        ruling("a", "a"),  # a flip
        ruling("tie", "tie"),
        *[ruling(unscored="malformed")] * 2,
        ruling(unscored="no response"),
    ]
    (found,) = tally_rulings(rulings, HOW)
    assert (found.rows, found.wins, found.losses, found.ties, found.flips) == (6, 3, 1, 2, 1)
    assert found.unscored == {"malformed": 2, "no response": 1}
    assert found.win_rate.value == pytest.approx((3 + 2 * 0.5) / 6)
    assert found.win_rate.low is not None
    assert found.win_rate.low < found.win_rate.value < (found.win_rate.high or 0)
    assert found.words == (pytest.approx((3 * 30 + 3 * 10) / 6), 20)
    assert found.longer_wins == 1.0
    # verdicts for the first answer: of a win one in two, of a loss one in two, of the flip both
    assert found.first_wins == pytest.approx((3 + 1 + 2) / 10)
    assert found.p == pytest.approx(2 * (1 + 4) / 2**4)


def test_nothing_judged_is_no_figure() -> None:
    (found,) = tally_rulings([ruling(unscored="malformed")], HOW)
    assert (found.rows, found.win_rate.value, found.words, found.first_wins) == (0, None, None, None)
    assert found.p == 1.0
    assert tally_rulings([], HOW) == ()


def test_pairs_are_apart_and_corrected_together() -> None:
    rulings = [*[ruling("a", "b")] * 6, *[ruling("a", "b", other="base of tuned")] * 7]
    first, second = tally_rulings(rulings, HOW)
    assert (first.other, second.other) == ("teacher", "base of tuned")
    assert (first.p, second.p) == (pytest.approx(2 / 2**6), pytest.approx(2 / 2**7))
    assert (first.p_holm, second.p_holm) == (pytest.approx(2 / 2**6), pytest.approx(4 / 2**7))


def test_the_sign_test_by_hand() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 0) == pytest.approx(2 / 32)
    assert sign_test(2, 2) == 1.0

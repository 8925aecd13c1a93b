"""How sure a figure is: intervals and paired tests, pure and seeded.

A bootstrap draws rows with replacement. All figures here depend on the rows only through how often each pattern of
(gold, predictions) occurs, so drawing the patterns' counts from a multinomial is the same draw, without the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.metrics import MISSING, Codes, Floats, macro_f1

CELLS = 4_000_000
"""Most numbers held at once while drawing: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """Lower and upper end."""

    low: float
    high: float


def wilson(right: int, rows: int, confidence: float) -> Interval:
    """Wilson's score interval of a share (holds near 0 and 1 and for few rows, where the plain one does not)."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    found = binomtest(right, rows).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def bootstrap_mean(values: Floats, confidence: float, resamples: int, seed: int) -> Interval:
    """Percentile interval of a mean over rows. `values`: one number per row, not empty."""
    patterns, counts = np.unique(values, return_counts=True)
    drawn = np.concatenate([weights @ patterns for weights in draws(counts, resamples, seed, len(counts))])
    return percentiles(drawn / len(values), confidence)


def bootstrap_macro_f1(
    gold: Codes, predicted: Sequence[Codes], labels: int, confidence: float, resamples: int, seed: int
) -> Interval:
    """Percentile interval of macro F1, as a mean over several sets of answers (seeds) to the same rows."""
    patterns, counts = np.unique(np.stack([gold, *predicted], axis=1), axis=0, return_counts=True)
    size = labels * (labels + 1)
    homes = [_cell_of(patterns[:, 0], patterns[:, 1 + which], labels) for which in range(len(predicted))]

    def score(weights: Codes) -> Floats:
        stacks = [_gather(weights, home, size).reshape(-1, labels, labels + 1) for home in homes]
        return np.asarray(np.mean([macro_f1(stack) for stack in stacks], axis=0), dtype=np.float64)

    width = max(len(counts), size)
    return percentiles(np.concatenate([score(some) for some in draws(counts, resamples, seed, width)]), confidence)


@dataclass(frozen=True)
class McNemar:
    """Exact McNemar test of two models on the same rows. p: two-sided, under "each is as often right alone"."""

    rows: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> McNemar:
    """Test whether two models are right equally often; booleans per row, same rows in the same order."""
    from scipy.stats import binomtest

    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    apart = only_first + only_second
    p = float(binomtest(only_first, apart, 0.5).pvalue) if apart else 1.0
    return McNemar(len(first_right), only_first, only_second, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that can be read as if each were the only test, in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = highest
    return corrected


def holm_within(families: Sequence[str], p_values: Sequence[float]) -> list[tuple[float, int]]:
    """Holm's correction within each family of tests: each corrected p, and how many tests its family has."""
    found = [(1.0, 0)] * len(p_values)
    for family in set(families):
        places = [place for place, one in enumerate(families) if one == family]
        for place, p in zip(places, holm([p_values[place] for place in places]), strict=True):
            found[place] = p, len(places)
    return found


def draws(counts: Codes, resamples: int, seed: int, width: int) -> Iterator[Codes]:
    """Counts of each pattern in each resample, (some resamples, patterns) at a time; `width`: numbers held for one."""
    rng = np.random.default_rng(seed)
    rows = int(counts.sum())
    batch = max(1, CELLS // width)
    for start in range(0, resamples, batch):
        yield rng.multinomial(rows, counts / rows, size=min(batch, resamples - start))


def _cell_of(gold: Codes, predicted: Codes, labels: int) -> Codes:
    """Place of each pattern in a flat confusion matrix; MISSING where it has no gold label."""
    columns = np.where(predicted == MISSING, labels, predicted)
    return np.where(gold == MISSING, MISSING, gold * (labels + 1) + columns)


def _gather(weights: Codes, homes: Codes, size: int) -> Codes:
    """Add up the weights of the patterns that share a cell: (resamples, patterns) -> (resamples, size)."""
    total = np.zeros((len(weights), size), dtype=np.int64)
    for cell in np.unique(homes[homes != MISSING]):
        total[:, cell] = weights[:, homes == cell].sum(axis=1)
    return total


def percentiles(drawn: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high))

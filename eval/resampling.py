"""Figures that are ratios of sums over rows, their bootstrap intervals and their paired tests; pure and seeded.

A mean is a ratio too (of a sum to a count), and so are bits per character (of bits to characters) and loss per token
(of nats to tokens). One way of resampling rows therefore serves every figure of a generated answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from eval.intervals import CELLS, Interval, draws, percentiles
from eval.metrics import Codes, Floats

EXACT = 13
"""Up to so many rows that differ, the permutation test tries all 2^n signs."""
SHUFFLES = 10_000
"""Random signs it tries for more rows: p is at least 1/10,001."""


@dataclass(frozen=True)
class Tally:
    """A figure row by row: it is sum(parts) / sum(wholes). Both (n,); a row with NaN parts has no such figure."""

    parts: Floats
    wholes: Floats

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(n,) which rows count."""
        return ~np.isnan(self.parts)

    def value(self) -> float | None:
        """The figure; None where no row counts."""
        whole = float(self.wholes[self.scored].sum())
        return float(self.parts[self.scored].sum()) / whole if whole else None

    def only(self, rows: NDArray[np.bool_]) -> Tally:
        """The same over some of the rows, chosen by (n,) booleans."""
        return Tally(self.parts[rows], self.wholes[rows])


def mean_tally(values: Floats) -> Tally:
    """The tally of a plain mean; NaN: not scored."""
    return Tally(values, np.ones(len(values)))


def bootstrap_ratio(
    tallies: Sequence[Tally],
    confidence: float,
    resamples: int,
    seed: int,
    shape: Callable[[Floats], Floats] | None = None,
) -> Interval | None:
    """Percentile interval of a figure, a mean over several sets of answers (seeds) to the same rows; None: no row.

    shape: what is made of each ratio before the mean, such as exp of a loss.
    """
    if any(not one.scored.any() for one in tallies):
        return None
    drawn = [_drawn(one, resamples, seed) for one in tallies]
    return percentiles(np.mean(drawn if shape is None else [shape(one) for one in drawn], axis=0), confidence)


def bootstrap_difference(
    first: Sequence[Tally], second: Sequence[Tally], confidence: float, resamples: int, seed: int
) -> Interval:
    """Percentile interval of first less second, the same rows drawn for both; both must score the same rows."""
    ours, theirs = (np.mean([_drawn(one, resamples, seed) for one in some], axis=0) for some in (first, second))
    return percentiles(ours - theirs, confidence)


def permutation_test(differences: Floats, seed: int) -> float:
    """Two-sided p of a paired permutation test: were the two models the same, each row's difference (n,) could as
    well have the other sign. All signs are tried for few rows, else SHUFFLES seeded ones (the observed one counts).
    """
    apart = differences[differences != 0]
    if not len(apart):
        return 1.0
    seen = abs(float(apart.sum())) * (1 - 1e-12)  # sums that are equal on paper may differ in their last bits
    if len(apart) <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(apart))))
        return float(np.mean(np.abs(signs @ apart) >= seen))
    rng = np.random.default_rng(seed)
    batch = max(1, 2_000_000 // len(apart))
    beyond = 0
    for start in range(0, SHUFFLES, batch):
        signs = 2.0 * rng.integers(0, 2, size=(min(batch, SHUFFLES - start), len(apart)), dtype=np.int8) - 1.0
        beyond += int((np.abs(signs @ apart) >= seen).sum())
    return (1 + beyond) / (1 + SHUFFLES)


def _drawn(tally: Tally, resamples: int, seed: int) -> Floats:
    """The figure in each resample, (resamples,); NaN where it drew no row that counts."""
    parts, wholes = np.nan_to_num(tally.parts), np.where(tally.scored, tally.wholes, 0.0)
    found = []
    for weights in row_weights(len(parts), resamples, seed):
        total = weights @ wholes
        found.append(np.divide(weights @ parts, total, out=np.full(len(total), np.nan), where=total > 0))
    return np.concatenate(found)


def row_weights(rows: int, resamples: int, seed: int) -> Iterable[Codes]:
    """How often each row is drawn in each resample, some resamples at a time; kept, as every figure asks for them."""
    if rows * resamples <= CELLS:
        return _kept_weights(rows, resamples, seed)
    return draws(np.ones(rows, dtype=np.int64), resamples, seed, rows)


@lru_cache(maxsize=2)
def _kept_weights(rows: int, resamples: int, seed: int) -> tuple[Codes, ...]:
    return tuple(draws(np.ones(rows, dtype=np.int64), resamples, seed, rows))

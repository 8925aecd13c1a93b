"""Figures that are made of sums over rows, for all seeds of a model at once; their means, intervals and paired tests.

Micro F1 is no mean over texts, so no row has an F1 of its own; but precision, recall and F1 are all made of a few sums.
Rows are drawn, the counts added up, and the figure made of each draw's sums. What has no figure is NaN in arrays and
None in what is returned, and is never averaged with what has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from eval.comparison import Figure
from eval.intervals import percentiles
from eval.metrics import Floats, macro_f1
from eval.resampling import row_weights
from recipes.evaluation import Evaluation
from recipes.tuple_counts import TupleCounts

Shape = Callable[[Floats], Floats]
"""Sums (..., k) -> figures (...), NaN where there is none."""


def ratio(sums: Floats) -> Floats:
    """First of the sums by the second."""
    return _share(sums[..., 0], sums[..., 1])


def precision(sums: Floats) -> Floats:
    """Of sums (right, predicted, found, gold, invalid, once), as all of the tuples' figures."""
    return _share(sums[..., 0], sums[..., 1])


def recall(sums: Floats) -> Floats:
    return _share(sums[..., 2], sums[..., 3])


def f1(sums: Floats) -> Floats:
    """Micro F1 as recipes/tuple_counts.py defines it, edges included."""
    return _f1(precision(sums), recall(sums))


def f1_strict(sums: Floats) -> Floats:
    """Micro F1 with invalid predictions and repeats counted as wrong ones."""
    return _f1(_share(sums[..., 5], sums[..., 1] + sums[..., 4]), recall(sums))


def invalid(sums: Floats) -> Floats:
    """Share of all predictions that are no tuple of their text."""
    return _share(sums[..., 4], sums[..., 1] + sums[..., 4])


TUPLE_SHAPES: dict[str, Shape] = {
    "f1": f1,
    "precision": precision,
    "recall": recall,
    "f1_strict": f1_strict,
    "invalid": invalid,
}


@dataclass(frozen=True)
class Sheet:
    """Counts of the same n rows by each seed of a model, (n, seeds, k), and the figures that are made of their sums."""

    counts: Floats
    shapes: Mapping[str, Shape]

    def only(self, rows: NDArray[np.bool_]) -> Sheet:
        """Some of the rows, chosen by (n,) booleans."""
        return Sheet(self.counts[rows], self.shapes)

    def of_seeds(self, places: Sequence[int]) -> Sheet:
        """Some of the seeds, by their places."""
        return Sheet(self.counts[:, list(places)], self.shapes)

    def values(self, name: str) -> list[float | None]:
        """A figure of each seed."""
        return [None if np.isnan(value) else float(value) for value in self.shapes[name](self.counts.sum(axis=0))]

    def drawn(self, how: Evaluation) -> Floats:
        """The sums in each draw of rows: (resamples, seeds, k). The same rows are drawn for every sheet of n rows."""
        rows, seeds, width = self.counts.shape
        flat = self.counts.reshape(rows, seeds * width)
        sums = [weights @ flat for weights in row_weights(rows, how.resamples, how.seed)]
        return np.concatenate(sums).reshape(-1, seeds, width)

    def figures(self, how: Evaluation) -> dict[str, Figure]:
        """All figures: the mean over the seeds, its interval over rows, and the deviation between seeds."""
        if not len(self.counts):
            return {name: Figure() for name in self.shapes}
        sums = self.drawn(how)
        return {name: _figure(self.values(name), shape(sums).mean(axis=1), how) for name, shape in self.shapes.items()}


def tuple_sheet(seeds: Sequence[Sequence[TupleCounts]]) -> Sheet:
    """The sheet of a model's tuples. seeds: for each seed the counts of each text, all of the same texts."""
    counts = [[astuple(one) for one in texts] for texts in seeds]  # (seeds, n, 6)
    return Sheet(np.array(counts, dtype=np.float64).reshape(len(seeds), -1, 6).transpose(1, 0, 2), TUPLE_SHAPES)


def mean_sheet(name: str, seeds: Sequence[Floats]) -> Sheet:
    """The sheet of a plain mean over rows. seeds: for each (n,) values, NaN where a row has none."""
    values = np.stack(list(seeds), axis=1)
    known = ~np.isnan(values)
    return Sheet(np.stack([np.nan_to_num(values), known.astype(np.float64)], axis=2), {name: ratio})


def label_sheet(gold: Sequence[int], seeds: Sequence[Sequence[int]], labels: int) -> Sheet:
    """The sheet of labels: accuracy and macro F1. gold and each seed's answers: places of labels, none missing."""
    cells = np.array([[g * (labels + 1) + p for g, p in zip(gold, said, strict=True)] for said in seeds])
    counts = np.eye(labels * (labels + 1))[cells.T]  # (n, seeds, cells of the confusion matrix)

    def matrices(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:-1], labels, labels + 1)

    def right(sums: Floats) -> Floats:
        found = matrices(sums)
        return _share(np.trace(found, axis1=-2, axis2=-1), found.sum(axis=(-2, -1)))

    return Sheet(counts, {"accuracy": right, "macro_f1": lambda sums: macro_f1(matrices(sums))})


@dataclass(frozen=True)
class Difference:
    """First less second in one figure, a mean over the seeds that both have.

    p: of a paired bootstrap, two-sided: twice the share of the draws on the other side of 0 (at least 2 / draws).
    spread: standard deviation of the difference over the draws.
    """

    first: float
    second: float
    figure: Figure
    p: float
    spread: float


def paired_difference(first: Sheet, second: Sheet, name: str, how: Evaluation) -> Difference | None:
    """Compare two models on the same rows; None where one of them has no figure in some seed."""
    values = [one.values(name) for one in (first, second)]
    known = [[value for value in some if value is not None] for some in values]
    if any(len(one) < len(some) for one, some in zip(known, values, strict=True)):
        return None
    ours, theirs = (one.shapes[name](one.drawn(how)).mean(axis=1) for one in (first, second))
    apart = (ours - theirs)[~np.isnan(ours - theirs)]
    if not len(apart):
        return None
    ends = percentiles(apart, how.confidence)
    means = [float(np.mean(one)) for one in known]
    figure = Figure(value=means[0] - means[1], low=ends.low, high=ends.high)
    return Difference(means[0], means[1], figure, bootstrap_p(apart), float(np.std(apart)))


def bootstrap_p(differences: Floats) -> float:
    """Two-sided p of a difference from its draws, none of them NaN; the observed sample counts as one of them."""
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (1 + len(differences)))


def _figure(values: Sequence[float | None], drawn: Floats, how: Evaluation) -> Figure:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return Figure()  # a mean over fewer seeds would pass for one over all of them
    ends = percentiles(drawn, how.confidence)
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Figure(value=float(np.mean(known)), low=ends.low, high=ends.high, deviation=deviation)


def _share(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return found


def _f1(precise: Floats, recalled: Floats) -> Floats:
    first, second = np.nan_to_num(precise), np.nan_to_num(recalled)
    neither = np.isnan(precise) & np.isnan(recalled)
    total = first + second
    found = np.divide(2 * first * second, total, out=np.zeros(np.shape(total)), where=total > 0)
    return np.where(neither, np.nan, found)

"""How good one set of answers is: arrays in, figures out, nothing read or written.

Labels are numbers: their place in the recipe's `labels`. `gold` and `predicted` are integer arrays of one length; -1 is
a row with no human label, or with no answer. A figure that cannot be measured (no gold labels, nothing answered) is
None, never a number made up for it.

Accuracy, macro F1 and kappa are over the *answered* rows; what was not answered is not wrong, it is missing, and stands
beside them as coverage. `accuracy_all` is the other reading: a row without an answer counts as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = -1
BINS = 15
"""Equal-width confidence bins of the calibration error (Guo et al., arXiv 1706.04599)."""


def confusion(gold: Codes, predicted: Codes, labels: int) -> Codes:
    """Rows counted by (gold label, prediction): shape (labels, labels + 1), the last column for unanswered rows.

    Rows without a gold label are left out.
    """
    known = gold != MISSING
    columns = np.where(predicted == MISSING, labels, predicted)
    cells = gold[known] * (labels + 1) + columns[known]
    return np.bincount(cells, minlength=labels * (labels + 1)).reshape(labels, labels + 1).astype(np.int64)


def accuracy(matrix: Codes) -> float | None:
    """Share of the answered rows that is right; `matrix` as `confusion` gives it."""
    return _share(int(np.trace(matrix)), int(matrix[:, :-1].sum()))


def accuracy_all(matrix: Codes) -> float | None:
    """Share of all rows that is right: a row without an answer counts as wrong."""
    return _share(int(np.trace(matrix)), int(matrix.sum()))


def coverage(predicted: Codes) -> float | None:
    """Share of the rows that were answered."""
    return _share(int((predicted != MISSING).sum()), len(predicted))


@dataclass(frozen=True)
class ClassFigures:
    """One label's figures. precision: None where it was never predicted; recall: None where no row has it."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def per_class(matrix: Codes) -> list[ClassFigures]:
    """Figures of each label over the answered rows."""
    square = matrix[:, :-1]
    hits, predicted, support = np.diagonal(square), square.sum(axis=0), square.sum(axis=1)
    return [
        ClassFigures(
            precision=_share(int(hit), int(said)),
            recall=_share(int(hit), int(there)),
            f1=_share(2 * int(hit), int(said) + int(there)),
            support=int(there),
        )
        for hit, said, there in zip(hits, predicted, support, strict=True)
    ]


def macro_f1(matrices: Floats | Codes) -> Floats:
    """Unweighted mean of the labels' F1 over the answered rows, for a stack of matrices (..., labels, labels + 1).

    Labels that occur neither in gold nor in the predictions have no F1 and are left out; NaN where none has one.
    """
    square = matrices[..., :-1]
    hits = np.diagonal(square, axis1=-2, axis2=-1)
    seen = square.sum(axis=-1) + square.sum(axis=-2)
    f1 = np.divide(2 * hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    counted = (seen > 0).sum(axis=-1)
    means = np.divide(f1.sum(axis=-1), counted, out=np.full(counted.shape, np.nan), where=counted > 0)
    return np.asarray(means, dtype=np.float64)


def kappa(matrix: Codes) -> float | None:
    """Cohen's kappa over the answered rows; None where chance alone already agrees on every row."""
    square = matrix[:, :-1].astype(np.float64)
    total = float(square.sum())
    if not total:
        return None
    by_chance = float(square.sum(axis=0) @ square.sum(axis=1)) / (total * total)
    if by_chance >= 1:
        return None
    return (float(np.trace(square)) / total - by_chance) / (1 - by_chance)


@dataclass(frozen=True)
class Bin:
    """Answered rows whose confidence lies in (low, high]: how many, their mean confidence, and the share right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """The bins of a reliability diagram; empty ones are left out. `confidence`: probability of the given answer."""
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    sure = np.bincount(places, weights=confidence, minlength=bins)
    right = np.bincount(places, weights=correct.astype(np.float64), minlength=bins)
    return [
        Bin(place / bins, (place + 1) / bins, int(n), float(sure[place] / n), float(right[place] / n))
        for place, n in enumerate(counts)
        if n
    ]


def calibration_error(bins: list[Bin]) -> float | None:
    """Expected calibration error: the gap between confidence and accuracy, a mean over rows."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total if total else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

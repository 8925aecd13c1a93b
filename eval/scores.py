"""The scores of one model: points per seed, their mean and deviation, and intervals over rows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from eval import metrics
from eval.comparison import ClassScore, ConfidenceBin, Figure, ModelScores, SeedScore
from eval.intervals import Interval, bootstrap_macro_f1, bootstrap_mean, wilson
from eval.metrics import MISSING, Bin, Codes, Floats
from eval.predict import Answered
from eval.scored import ScoredRows
from recipes.schema import Evaluation

Points = dict[str, float | None]


@dataclass(frozen=True)
class Compared:
    """All answers of one model: one set, or one per seed. chosen: the place of the seed that the tests are made on."""

    sets: tuple[Answered, ...]
    chosen: int = 0
    validation: tuple[float | None, ...] = ()

    @property
    def name(self) -> str:
        return self.sets[0].name

    @property
    def main(self) -> Answered:
        return self.sets[self.chosen]

    @property
    def rows_per_second(self) -> float | None:
        """Mean over the sets; None where none was measured."""
        speeds = [one.rows_per_second for one in self.sets if one.rows_per_second is not None]
        return statistics.fmean(speeds) if speeds else None

    def where(self, chosen: NDArray[np.bool_]) -> Compared:
        """Its answers to some of the rows; chosen: (n,)."""
        return Compared(tuple(one.where(chosen) for one in self.sets), self.chosen, self.validation)


def score_model(
    compared: Compared,
    about: str,
    usd_per_1000: float | None,
    scored: ScoredRows,
    labels: tuple[str, ...],
    how: Evaluation,
) -> ModelScores:
    """Score one model on the rows it answered."""
    main, size = compared.main, len(labels)
    points = [points_of(one, scored, size) for one in compared.sets]
    matrix = metrics.confusion(scored.gold, main.predicted, size)
    return ModelScores(
        name=compared.name,
        role=main.role,
        about=about,
        answered=int((main.predicted != MISSING).sum()),
        cut=main.cut,
        **figures_of(compared.sets, points, scored, size, how),
        rows_per_second=compared.rows_per_second,
        usd_per_1000=usd_per_1000,
        seeds=_seeds(compared, points),
        classes=tuple(
            ClassScore(label=label, **asdict(one)) for label, one in zip(labels, metrics.per_class(matrix), strict=True)
        ),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        bins=tuple(ConfidenceBin(**asdict(one)) for one in _bins(main, scored)),
    )


def figures_of(
    sets: Sequence[Answered], points: Sequence[Points], scored: ScoredRows, labels: int, how: Evaluation
) -> dict[str, Figure]:
    """Each of the points as a mean over the sets (seeds), with its deviation and its interval over rows."""
    intervals = _intervals(sets, scored, labels, how)
    return {key: _figure([one[key] for one in points], intervals.get(key)) for key in points[0]}


def points_of(one: Answered, scored: ScoredRows, labels: int) -> Points:
    """The figures of one set of answers; the teacher is not compared with itself."""
    matrix = metrics.confusion(scored.gold, one.predicted, labels)
    by_teacher = metrics.confusion(scored.teacher, one.predicted, labels)
    macro = float(metrics.macro_f1(matrix))
    other = one.role != "teacher"
    return {
        "accuracy": metrics.accuracy(matrix),
        "accuracy_all": metrics.accuracy_all(matrix),
        "macro_f1": None if np.isnan(macro) else macro,
        "agreement": metrics.accuracy(by_teacher) if other else None,
        "kappa": metrics.kappa(matrix),
        "kappa_teacher": metrics.kappa(by_teacher) if other else None,
        "coverage": metrics.coverage(one.predicted),
        "calibration": metrics.calibration_error(_bins(one, scored)),
    }


def share_right(sets: Sequence[Answered], truth: Codes) -> tuple[Floats, NDArray[np.bool_]]:
    """Per row, the share of the sets (seeds) that gave the true label, and which rows have one and were answered."""
    usable = truth != MISSING
    for one in sets:
        usable = usable & (one.predicted != MISSING)
    right = np.mean([one.predicted == truth for one in sets], axis=0)
    return np.asarray(right, dtype=np.float64), usable


def _intervals(sets: Sequence[Answered], scored: ScoredRows, labels: int, how: Evaluation) -> dict[str, Interval]:
    """Wilson's interval for the accuracy and the agreement of one set; bootstrap over rows for means over seeds and all
    else.
    """
    found = {}
    for key, truth in (("accuracy", scored.gold), ("agreement", scored.teacher)):
        right, usable = share_right(sets, truth)
        if not usable.any() or (key == "agreement" and sets[0].role == "teacher"):
            continue
        if len(sets) == 1:
            found[key] = wilson(int(right[usable].sum()), int(usable.sum()), how.confidence)
        else:
            found[key] = bootstrap_mean(right[usable], how.confidence, how.resamples, how.seed)
        if key == "accuracy":
            predicted = [one.predicted[usable] for one in sets]
            gold = scored.gold[usable]
            found["macro_f1"] = bootstrap_macro_f1(gold, predicted, labels, how.confidence, how.resamples, how.seed)
    return found


def _bins(one: Answered, scored: ScoredRows) -> list[Bin]:
    if one.probabilities is None:
        return []
    usable = (scored.gold != MISSING) & (one.predicted != MISSING) & ~np.isnan(one.probabilities).any(axis=1)
    said = one.predicted[usable]
    confidence = one.probabilities[usable][np.arange(len(said)), said]
    return metrics.reliability(confidence, said == scored.gold[usable])


def _figure(values: Sequence[float | None], interval: Interval | None) -> Figure:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Figure()
    return Figure(
        value=statistics.fmean(known),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        deviation=statistics.stdev(known) if len(known) > 1 else None,
    )


def _seeds(compared: Compared, points: Sequence[Points]) -> tuple[SeedScore, ...]:
    validation = compared.validation or (None,) * len(points)
    return tuple(
        SeedScore(
            seed=one.seed,
            chosen=place == compared.chosen,
            validation=validation[place],
            accuracy=point["accuracy"],
            macro_f1=point["macro_f1"],
            agreement=point["agreement"],
        )
        for place, (one, point) in enumerate(zip(compared.sets, points, strict=True))
        if one.seed is not None
    )

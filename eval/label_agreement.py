"""How far students agree with a teacher of several labels, label by label: does it apply, or does it not?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.comparison import Figure, LabelAgreement
from eval.intervals import bootstrap_mean, wilson
from eval.scored import ScoredRows
from eval.scores import Compared
from recipes.schema import Evaluation

APPLIES = 0.5
"""Probability from which a label is said to apply."""
Flags = NDArray[np.bool_]


def label_agreement(
    models: Sequence[Compared], scored: ScoredRows, labels: Sequence[str], how: Evaluation
) -> tuple[LabelAgreement, ...]:
    """Each student beside the teacher on each label, over the test rows that both gave probabilities for."""
    if scored.teacher_soft is None:
        return ()
    found: list[LabelAgreement] = []
    for model in models:
        said = [one.probabilities for one in model.sets if one.probabilities is not None]
        if model.main.role != "student" or not said:
            continue
        usable = ~np.isnan(np.concatenate([scored.teacher_soft, *said], axis=1)).any(axis=1)
        teacher, seeds = scored.teacher_soft[usable] >= APPLIES, [one[usable] >= APPLIES for one in said]
        if usable.any():
            found += [
                _on(label, model.name, teacher[:, place], [one[:, place] for one in seeds], how)
                for place, label in enumerate(labels)
            ]
    return tuple(found)


def _on(label: str, model: str, teacher: Flags, seeds: Sequence[Flags], how: Evaluation) -> LabelAgreement:
    """Arrays (n,), one of the student for each of its seeds."""
    same = np.mean([one == teacher for one in seeds], axis=0)
    if len(seeds) == 1:
        interval = wilson(int(same.sum()), len(same), how.confidence)
    else:
        interval = bootstrap_mean(same, how.confidence, how.resamples, how.seed)
    f1 = [_f1(teacher, one) for one in seeds]
    known = [value for value in f1 if value is not None]
    return LabelAgreement(
        model=model,
        label=label,
        rows=len(teacher),
        teacher=float(teacher.mean()),
        student=float(np.mean(seeds)),
        agreement=Figure(
            value=float(same.mean()), low=interval.low, high=interval.high,
            deviation=statistics.stdev(float((one == teacher).mean()) for one in seeds) if len(seeds) > 1 else None,
        ),
        f1=statistics.fmean(known) if len(known) == len(f1) else None,
    )  # fmt: skip


def _f1(teacher: Flags, student: Flags) -> float | None:
    """None where neither ever says that the label applies."""
    said = int(teacher.sum() + student.sum())
    return 2 * int((teacher & student).sum()) / said if said else None

"""Scores by slice: every model on the test rows of one language, say, and each student against the teacher on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from eval.comparison import Figure, Pair, Slice, SliceColumn, SliceScores
from eval.metrics import MISSING
from eval.pairs import corrected, pair_of
from eval.scored import ScoredRows
from eval.scores import Compared, figures_of, points_of
from recipes.schema import Evaluation

FEW_IN_SLICE = 50
"""Rows below which nothing is tested: the 95% interval of an accuracy of 70% is wider than +-12 points there."""
MOST_SLICES = 40
"""Values of a column that are scored, those with the most rows."""


def score_slices(
    models: Sequence[Compared], scored: ScoredRows, columns: Sequence[str], labels: int, how: Evaluation
) -> tuple[SliceColumn, ...]:
    """Score every model on the rows of each value of these slice columns.

    All of it on test rows: a student agrees with its teacher most on the rows that it learnt by heart.
    """
    return tuple(_column(column, models, scored, labels, how) for column in columns)


def _column(column: str, models: Sequence[Compared], scored: ScoredRows, labels: int, how: Evaluation) -> SliceColumn:
    values = [row.get(column) for row in scored.slices]
    sizes = Counter(value for value in values if value is not None)
    slices = []
    for value in sorted(sizes, key=lambda value: (-sizes[value], value))[:MOST_SLICES]:
        chosen = np.array([one == value for one in values])
        slices.append(_slice(value, [one.where(chosen) for one in models], scored.where(chosen), labels, how))
    pairs = iter(corrected([pair for one in slices for pair in one.pairs], how))
    return SliceColumn(
        column=column,
        without=values.count(None),
        not_shown=len(sizes) - len(slices),
        slices=tuple(one.model_copy(update={"pairs": tuple(next(pairs) for _ in one.pairs)}) for one in slices),
    )


def _slice(value: str, models: Sequence[Compared], scored: ScoredRows, labels: int, how: Evaluation) -> Slice:
    """models, scored: of the rows of this value alone."""
    few = len(scored.ids) < FEW_IN_SLICE
    return Slice(
        value=value,
        rows=len(scored.ids),
        gold_rows=int((scored.gold != MISSING).sum()),
        few=few,
        models=tuple(_scores(one, scored, labels, few, how) for one in models),
        pairs=tuple(_against_teacher(models, scored, how)),
    )


def _scores(one: Compared, scored: ScoredRows, labels: int, few: bool, how: Evaluation) -> SliceScores:
    points = [points_of(answers, scored, labels) for answers in one.sets]
    figures = figures_of(one.sets, points, scored, labels, how)
    return SliceScores(
        model=one.name,
        role=one.main.role,
        answered=int((one.main.predicted != MISSING).sum()),
        accuracy=figures["accuracy"],
        macro_f1=figures["macro_f1"],
        agreement=figures["agreement"],
        calibration=Figure() if few else figures["calibration"],
    )


def _against_teacher(models: Sequence[Compared], scored: ScoredRows, how: Evaluation) -> list[Pair]:
    """Each student against the teacher, where both answered enough rows that have a human label."""
    teacher = next((one for one in models if one.main.role == "teacher"), None)
    students = [one for one in models if one.main.role == "student"]
    found = [pair_of(student, teacher, scored, how) for student in students] if teacher is not None else []
    return [pair for pair in found if pair is not None and pair.rows >= FEW_IN_SLICE]

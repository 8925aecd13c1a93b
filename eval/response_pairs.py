"""Generative models in pairs, measure by measure, on the questions where both have a figure.

Three families of tests are corrected apart, fixed before any answer is scored: each student against its base (did
training help?), each student against the teacher in what the teacher can be measured in (is it as good?), and students
against one another. Bases are not compared among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

import numpy as np

from eval.answer_scores import ScoredModel
from eval.comparison import Figure
from eval.intervals import holm_within, mcnemar
from eval.measures import MEASURES, PAIRED, PAIRED_WITH_TEACHER
from eval.metrics import Floats
from eval.power import detectable_mean, detectable_share
from eval.resampling import Tally, bootstrap_difference, permutation_test
from eval.responses import Family, ResponsePair
from recipes.schema import Evaluation

Least = Callable[[float], float | None]
"""Level of a test -> the smallest difference it would have found 4 times in 5; None: no such difference is known."""
BY_ROW = {"chrf": "chrf_rows"}
"""Measure -> the tally that it is tested on, where that is another."""


@dataclass(frozen=True)
class Duel:
    """Two models to compare."""

    first: ScoredModel
    second: ScoredModel
    family: Family


def compare_pairs(models: Sequence[ScoredModel], bases: Mapping[str, str], how: Evaluation) -> tuple[ResponsePair, ...]:
    """Every duel in every measure that both were scored in. bases: student -> its base's name."""
    found = [
        _pair(duel, measure, how)
        for duel in duels(models, bases)
        for measure in (PAIRED_WITH_TEACHER if duel.family == "teacher" else PAIRED)
    ]
    return _correct([one for one in found if one is not None], how)


def duels(models: Sequence[ScoredModel], bases: Mapping[str, str]) -> list[Duel]:
    """Who is compared with whom: students with their bases, then with the teacher, then with one another."""
    students = [one for one in models if one.main.role == "student"]
    teachers = [one for one in models if one.main.role == "teacher"]
    by_name = {one.name: one for one in models}
    with_base = [(student, by_name[bases[student.name]]) for student in students if bases.get(student.name) in by_name]
    return [
        *(Duel(student, base, "base") for student, base in with_base),
        *(Duel(student, teacher, "teacher") for student in students for teacher in teachers),
        *(Duel(one, other, "students") for one, other in combinations(students, 2)),
    ]


def _pair(duel: Duel, measure: str, how: Evaluation) -> tuple[ResponsePair, Least] | None:
    name = BY_ROW.get(measure, measure)
    sides = [[model.tallies[model.chosen].get(name)] for model in (duel.first, duel.second)]
    found = _shared(sides)
    if found is None:
        return None
    ours, theirs = found[0][0], found[1][0]
    by_row = (ours.parts - theirs.parts)[ours.scored]
    test, p, least = _test(measure, ours, theirs, by_row, how)
    pair = ResponsePair(
        first=duel.first.name,
        second=duel.second.name,
        measure=measure,
        family=duel.family,
        rows=len(by_row),
        first_value=ours.value() or 0.0,
        second_value=theirs.value() or 0.0,
        difference=_difference([ours], [theirs], how),
        test=test,
        p=p,
        p_holm=p,
        detectable=None,
        all_seeds=_over_seeds(duel, name, how),
    )
    return pair, least


def _shared(sides: Sequence[Sequence[Tally | None]]) -> list[list[Tally]] | None:
    """The same tallies with every row left out that one of them has no figure for; None where nothing is left."""
    known = [[one for one in side if one is not None] for side in sides]
    if any(len(one) < len(side) for one, side in zip(known, sides, strict=True)):
        return None
    rows = np.logical_and.reduce([one.scored for side in known for one in side])
    if not rows.any():
        return None
    return [[Tally(np.where(rows, one.parts, np.nan), one.wholes) for one in side] for side in known]


def _test(
    measure: str, ours: Tally, theirs: Tally, by_row: Floats, how: Evaluation
) -> tuple[Literal["exact McNemar", "paired permutation"], float, Least]:
    """The test of a measure: its name, p, and the smallest difference it would have found 4 times in 5."""
    if MEASURES[measure].yes_no:
        found = mcnemar(ours.parts[ours.scored] == 1, theirs.parts[theirs.scored] == 1)
        return "exact McNemar", found.p, partial(detectable_share, found.rows, found.only_first + found.only_second)
    scale = float(np.mean(ours.wholes[ours.scored]))  # differences are of parts: bits, of rows of so many characters
    return "paired permutation", permutation_test(by_row, how.seed), partial(detectable_mean, by_row / scale)


def _difference(ours: Sequence[Tally], theirs: Sequence[Tally], how: Evaluation) -> Figure:
    value = np.mean([one.value() for one in ours]) - np.mean([one.value() for one in theirs])
    ends = bootstrap_difference(ours, theirs, how.confidence, how.resamples, how.seed)
    return Figure(value=float(value), low=ends.low, high=ends.high)


def _over_seeds(duel: Duel, name: str, how: Evaluation) -> Figure | None:
    if len(duel.first.sets) == len(duel.second.sets) == 1:
        return None
    shared = _shared([[found.get(name) for found in model.tallies] for model in (duel.first, duel.second)])
    return None if shared is None else _difference(shared[0], shared[1], how)


def _correct(found: Sequence[tuple[ResponsePair, Least]], how: Evaluation) -> tuple[ResponsePair, ...]:
    held = holm_within([pair.family for pair, _ in found], [pair.p for pair, _ in found])
    return tuple(
        pair.model_copy(update={"p_holm": p, "detectable": _possible(pair.measure, least((1 - how.confidence) / size))})
        for (pair, least), (p, size) in zip(found, held, strict=True)
    )


def _possible(measure: str, least: float | None) -> float | None:
    """None for a difference of shares that there cannot be."""
    return None if least is not None and least > 1 and MEASURES[measure].kind != "plain" else least

"""A model's answers to one set as counts by row and seed, and its results by slice."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.comparison import Figure
from eval.metrics import Floats
from eval.overlap import chrf, rouge_l
from eval.tuple_baselines import labelled, tagged
from eval.tuple_comparison import Result, SeedResult, TupleRole
from eval.tuple_metrics import Sheet, label_sheet, mean_sheet, tuple_sheet
from eval.tuple_predict import Writing, Writings, writings_of
from eval.tuple_rows import ScoredSet
from recipes.evaluation import Evaluation
from recipes.rows import GRADES
from recipes.runs import RunFolder
from recipes.schema import SENTIMENTS
from recipes.seq2seq_student import Target
from recipes.tuple_counts import Pair, TupleCounts, count_tuples

MIDDLE = GRADES.index("neutral")


@dataclass(frozen=True)
class Marked:
    """One model on one set. seeds: (None,) for a baseline. said: the tuples of the first of its seeds, for examples.

    invalid: of those answers. cut: texts longer than it reads. precision: what it computed in, where that is known.
    """

    name: str
    role: TupleRole
    scored: ScoredSet
    seeds: tuple[int | None, ...]
    sheets: tuple[Sheet, ...]
    said: tuple[tuple[Pair, ...], ...] = ()
    invalid: tuple[int, ...] = ()
    rows_per_second: float | None = None
    machine: str | None = None
    cut: int = 0
    precision: str = ""

    def sheet(self, measure: str) -> Sheet | None:
        """The counts that a figure is made of; None where it was not measured."""
        return next((one for one in self.sheets if measure in one.shapes), None)


def mark_student(
    run: RunFolder, name: str, seeds: Sequence[int], scored: ScoredSet, targets: Sequence[Target]
) -> Marked:
    """Have every seed of a student answer, for every target, and count."""
    wrote = {target: [writings_of(run, name, seed, scored, target) for seed in seeds] for target in targets}
    sheets = [_SHEETS[target](scored, wrote[target]) for target in targets] if scored.task != "sentiment" else []
    if scored.task == "sentiment":
        sheets = [_zero_shot(scored, wrote["analysis"])]
    every = [[by_seed[place].lines for by_seed in wrote.values()] for place in range(len(seeds))]
    truncated = mean_sheet("truncated", [_share_truncated(lines) for lines in every])
    first = wrote[targets[0]]
    speeds = [one.rows_per_second for one in first if one.rows_per_second is not None]
    return Marked(
        name, "student", scored, tuple(seeds), (*(part for parts in sheets for part in parts), truncated),
        said=tuple(line.tuples for line in first[0].lines), invalid=tuple(line.invalid for line in first[0].lines),
        rows_per_second=statistics.fmean(speeds) if speeds else None,
        machine=next((one.machine for one in first if one.machine), None), cut=sum(line.cut for line in first[0].lines),
        precision=next((one.precision for one in first if one.precision), ""),
    )  # fmt: skip


def mark_baseline(scored: ScoredSet, name: str) -> Marked:
    """Fit a baseline on the set's train rows and count what it says of the test rows."""
    if scored.task == "sentiment":
        sheet = _labels(scored, [labelled(scored, name)])
        return Marked(name, "baseline", scored, (None,), (sheet,))
    said = tagged(scored, name)
    sheet = tuple_sheet([_counts(scored, said, [0] * len(said))])
    return Marked(name, "baseline", scored, (None,), (sheet,), said=tuple(said), invalid=(0,) * len(said))


def results(marked: Marked, how: Evaluation) -> list[Result]:
    """The figures of one model on each slice of its set."""
    return [_result(marked, name, how) for name in marked.scored.slices]


def sentiment_of(pairs: Sequence[Pair]) -> str:
    """negative, neutral or positive: the sign of the mean grade of the opinions; neutral where there is none."""
    grades = [GRADES.index(grade) - MIDDLE for _, grade in pairs if grade in GRADES]
    return SENTIMENTS[int(np.sign(sum(grades))) + 1]


def _result(marked: Marked, slice_name: str, how: Evaluation) -> Result:
    rows = marked.scored.slices[slice_name]
    sheets = [one.only(rows) for one in marked.sheets]
    figures: dict[str, Figure] = {}
    by_seed: list[dict[str, float | None]] = [{} for _ in marked.seeds]
    for sheet in sheets:
        figures |= sheet.figures(how)
        for measure in sheet.shapes:
            for place, value in enumerate(sheet.values(measure)):
                by_seed[place][measure] = value
    return Result(
        dataset=marked.scored.dataset,
        slice=slice_name,
        model=marked.name,
        rows=int(rows.sum()),
        figures=figures,
        seeds=tuple(SeedResult(seed=seed, figures=one) for seed, one in zip(marked.seeds, by_seed, strict=True)),
    )


def _counts(scored: ScoredSet, said: Sequence[Sequence[Pair]], invalid: Sequence[int]) -> list[TupleCounts]:
    """The counts of each text; nothing of a text without gold (a review whose analysis is missing)."""
    return [
        TupleCounts() if gold is None else count_tuples(gold, pairs, bad)
        for gold, pairs, bad in zip(scored.gold, said, invalid, strict=True)
    ]


def _of_tuples(scored: ScoredSet, wrote: Sequence[Writings]) -> list[Sheet]:
    said = [([line.tuples for line in one.lines], [line.invalid for line in one.lines]) for one in wrote]
    return [tuple_sheet([_counts(scored, tuples, invalid) for tuples, invalid in said])]


def _of_analysis(scored: ScoredSet, wrote: Sequence[Writings]) -> list[Sheet]:
    parsed = [np.array([float(not line.invalid) for line in one.lines]) for one in wrote]
    return [*_of_tuples(scored, wrote), mean_sheet("parsed", parsed)]


def _of_rewrite(scored: ScoredSet, wrote: Sequence[Writings]) -> list[Sheet]:
    """Closeness to the teacher's rewrite; an empty rewrite is as far from it as can be."""
    missing = np.array([one is None for one in scored.rewrites])
    references = [one or "" for one in scored.rewrites]
    texts = [[line.text for line in one.lines] for one in wrote]
    return [
        mean_sheet(name, [np.where(missing, np.nan, overlap(said, references)) for said in texts])
        for name, overlap in (("rouge_l", rouge_l), ("chrf", chrf))
    ]


_SHEETS = {"atsa": _of_tuples, "acsa": _of_tuples, "analysis": _of_analysis, "rewrite": _of_rewrite}


def _zero_shot(scored: ScoredSet, wrote: Sequence[Writings]) -> list[Sheet]:
    said = [[sentiment_of(line.tuples) for line in one.lines] for one in wrote]
    any_opinion = [np.array([float(bool(line.tuples)) for line in one.lines]) for one in wrote]
    return [_labels(scored, said), mean_sheet("opinions", any_opinion)]


def _labels(scored: ScoredSet, said: Sequence[Sequence[str]]) -> Sheet:
    gold = [SENTIMENTS.index(label) for label in scored.labels]
    return label_sheet(gold, [[SENTIMENTS.index(label) for label in one] for one in said], len(SENTIMENTS))


def _share_truncated(lines: Sequence[Sequence[Writing]]) -> Floats:
    """(n,) share of a text's answers, one for each target, that did not end by themselves."""
    shares: Floats = np.array([[line.truncated for line in one] for one in lines], dtype=np.float64).mean(axis=0)
    return shares

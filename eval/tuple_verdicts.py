"""What the figures of seq2seq students mean, in sentences that a person can quote, one dataset at a time.

"Better" and "worse" are said only where the corrected p is below 1 - confidence. No sentence speaks of an average over
datasets: they differ in size, difficulty and task.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from eval.claims import could_be_found, is_clear, once_corrected, standing
from eval.comparison import Verdict
from eval.numbers import p_sentence, percent, points, points_span, span
from eval.tuple_comparison import ALL, Result, TuplePair
from eval.tuple_measures import MEASURES
from eval.tuple_pairs import question
from recipes.counts import counted


def tuple_verdicts(pairs: Sequence[TuplePair], results: Sequence[Result], confidence: float) -> Iterator[Verdict]:
    """With and without distillation first, then students among themselves, then each beside the baselines; then how
    close students of understanding come to their teacher.
    """
    for family in ("distillation", "students"):
        yield from (_claim(pair, results, confidence) for pair in pairs if pair.family == family)
    beside = [pair for pair in pairs if pair.family == "baselines"]
    for dataset, student in dict.fromkeys((pair.dataset, pair.first) for pair in beside):
        mine = [one for one in beside if (one.dataset, one.first) == (dataset, student)]
        tests = max(sum(question(one) == question(pair) for one in beside) for pair in mine)
        yield _baselines(mine, tests, results, confidence)
    yield from (_understanding(one) for one in results if one.slice == ALL and "parsed" in one.figures)


def _head(measure: str) -> str:
    """Its name within a sentence."""
    head = MEASURES[measure].head
    return head.lower() if measure == "accuracy" else head


def _claim(pair: TuplePair, results: Sequence[Result], confidence: float) -> Verdict:
    head, value = _head(pair.measure), pair.difference.value or 0.0
    turned = _turned(pair, results)
    where = f"on {pair.dataset} ({counted(pair.rows, 'text')}, {counted(len(pair.seeds), 'seed')})"
    shown = f"{head} {percent(pair.first_value)} against {percent(pair.second_value)}"
    test = f"paired bootstrap {p_sentence(pair.p, pair.p_holm)}"
    figures = f"{shown}; {100 * confidence:g}% interval {points_span(pair.difference)} points; {test}"
    if is_clear(pair, confidence):
        word = "better" if value > 0 else "worse"
        size = f"{abs(100 * value):.1f} points of {head}"
        claim = f"{pair.first} is {word} than {pair.second} by {size} {where}"
        return Verdict(claim=claim, figures=figures, more=turned)
    corrected = once_corrected(pair, confidence)
    least = None if pair.detectable is None else f"{100 * pair.detectable:.1f} points"
    return Verdict(
        claim=f"{pair.first} is not distinguishable from {pair.second} {where}{corrected}",
        figures=f"difference {points(value)} points; {figures}",
        more=f"{could_be_found(least, counted(pair.rows, 'text'))} {turned}".rstrip(),
    )


def _baselines(pairs: Sequence[TuplePair], tests: int, results: Sequence[Result], confidence: float) -> Verdict:
    """tests: how many pairs are corrected together."""
    head = _head(pairs[0].measure)
    first, dataset, stands = pairs[0].first, pairs[0].dataset, standing(pairs, confidence)
    return Verdict(
        claim=f"{first} beside the baselines on {dataset}, in points of {head}: {stands}",
        figures="paired bootstrap" + (f", Holm's correction for {tests} tests" if tests > 1 else ""),
        more=" ".join(said for pair in pairs if (said := _turned(pair, results))),
    )


def _turned(pair: TuplePair, results: Sequence[Result]) -> str:
    """Said where F1, which leaves out what is invalid, puts two models in another order than strict F1."""
    first, second = (_strict(pair, name, results) for name in (pair.first, pair.second))
    if pair.measure != "f1" or first is None or second is None:
        return ""
    if (first - second) * (pair.difference.value or 0.0) >= 0:
        return ""
    shown = f"{percent(first)} against the {percent(second)} of {pair.second}"
    told = f"{pair.first} has a strict F1 of {shown}"
    return f"With what is invalid or repeated counted as wrong the order turns: {told}."


def _strict(pair: TuplePair, name: str, results: Sequence[Result]) -> float | None:
    """Strict F1, a mean over the seeds of the pair; None where a seed has none."""
    key = (pair.dataset, ALL, name)
    result = next((one for one in results if (one.dataset, one.slice, one.model) == key), None)
    by_seed = [] if result is None else [one for one in result.seeds if one.seed is None or one.seed in pair.seeds]
    values = [one.figures.get("f1_strict") for one in by_seed]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _understanding(one: Result) -> Verdict:
    """How much of a student's analyses can be read, and how much of it is what the teacher says."""
    f1 = one.figure("f1")
    agrees = "" if f1.value is None else f" and agree with the teacher's to an F1 of {percent(f1.value)}"
    ends = f"interval {span(f1)}" if f1.value is not None and span(f1) else ""
    parsed = percent(one.figure("parsed").value)
    return Verdict(claim=f"{one.model}: {parsed} of its analyses can be read whole{agrees}", figures=ends)

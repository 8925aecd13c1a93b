"""What the figures of seq2seq students mean, in sentences that a person can quote, one dataset at a time.

"Better" and "worse" are said only where the corrected p is below 1 - confidence. No sentence speaks of an average over
datasets: they differ in size, difficulty and task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.claims import could_be_found, is_clear, once_corrected, standing
from eval.comparison import Verdict
from eval.numbers import p_sentence, percent, points, points_span, span
from eval.tuple_comparison import ALL, Result, TuplePair
from eval.tuple_measures import MEASURES
from recipes.counts import counted


def tuple_verdicts(pairs: Sequence[TuplePair], results: Sequence[Result], confidence: float) -> Iterator[Verdict]:
    """With and without distillation first, then students among themselves, then each beside the baselines; then how
    close students of understanding come to their teacher.
    """
    for family in ("distillation", "students"):
        yield from (_claim(pair, confidence) for pair in pairs if pair.family == family)
    beside = [pair for pair in pairs if pair.family == "baselines"]
    for dataset, student in dict.fromkeys((pair.dataset, pair.first) for pair in beside):
        yield _baselines([one for one in beside if (one.dataset, one.first) == (dataset, student)], confidence)
    yield from (_understanding(one) for one in results if one.slice == ALL and "parsed" in one.figures)


def _head(measure: str) -> str:
    """Its name within a sentence."""
    head = MEASURES[measure].head
    return head.lower() if measure == "accuracy" else head


def _claim(pair: TuplePair, confidence: float) -> Verdict:
    head, value = _head(pair.measure), pair.difference.value or 0.0
    where = f"on {pair.dataset} ({counted(pair.rows, 'text')}, {counted(len(pair.seeds), 'seed')})"
    shown = f"{head} {percent(pair.first_value)} against {percent(pair.second_value)}"
    test = f"paired bootstrap {p_sentence(pair.p, pair.p_holm)}"
    figures = f"{shown}; {100 * confidence:g}% interval {points_span(pair.difference)} points; {test}"
    if is_clear(pair, confidence):
        word = "better" if value > 0 else "worse"
        size = f"{abs(100 * value):.1f} points of {head}"
        return Verdict(claim=f"{pair.first} is {word} than {pair.second} by {size} {where}", figures=figures)
    corrected = once_corrected(pair, confidence)
    least = None if pair.detectable is None else f"{100 * pair.detectable:.1f} points"
    return Verdict(
        claim=f"{pair.first} is not distinguishable from {pair.second} {where}{corrected}",
        figures=f"difference {points(value)} points; {figures}",
        more=could_be_found(least, counted(pair.rows, "text")),
    )


def _baselines(pairs: Sequence[TuplePair], confidence: float) -> Verdict:
    head = _head(pairs[0].measure)
    first, dataset, stands = pairs[0].first, pairs[0].dataset, standing(pairs, confidence)
    return Verdict(claim=f"{first} beside the baselines on {dataset}, in points of {head}: {stands}")


def _understanding(one: Result) -> Verdict:
    """How much of a student's analyses can be read, and how much of it is what the teacher says."""
    f1 = one.figure("f1")
    agrees = "" if f1.value is None else f" and agree with the teacher's to an F1 of {percent(f1.value)}"
    ends = f"interval {span(f1)}" if f1.value is not None and span(f1) else ""
    parsed = percent(one.figure("parsed").value)
    return Verdict(claim=f"{one.model}: {parsed} of its analyses can be read whole{agrees}", figures=ends)

"""What the figures of generated answers mean, in sentences that a person can quote.

"Better" and "worse" are said only where the corrected p is below 1 - confidence; else the two are not distinguishable
*on these questions*, and the sentence says how large a difference would have been found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.claims import at_odds, could_be_found, is_clear, listed, once_corrected, with_all_seeds
from eval.comparison import Verdict
from eval.measures import MEASURES, paired_head
from eval.numbers import measure_change, measure_changes, measure_text, p_sentence, percent
from eval.responses import Judged, JudgeReport, ResponseComparison, ResponsePair
from recipes.counts import counted

MAIN = {"base": ("bits_per_char", "rouge_l"), "teacher": ("grounded",), "students": ("bits_per_char", "rouge_l")}
"""Family -> measures that get a sentence of their own, where both models have them; the others share one."""


def response_verdicts(
    pairs: Sequence[ResponsePair], judge: JudgeReport | None, reference: str, confidence: float
) -> list[Verdict]:
    """For each student: what the judge says, then how it stands to its base, to the teacher and to other students."""
    judged = [] if judge is None else [one for one in judge.judged if one.rows]
    said = []
    for student in dict.fromkeys([*(one.student for one in judged), *(pair.first for pair in pairs)]):
        said += [_judged(one, judge.model, confidence) for one in judged if judge and one.student == student]
        said += _paired([pair for pair in pairs if pair.first == student], reference, confidence)
    return said


def _paired(pairs: Sequence[ResponsePair], reference: str, confidence: float) -> list[Verdict]:
    """One student against each other model in turn: the main measures one by one, the others in one sentence."""
    said = []
    for second in dict.fromkeys(pair.second for pair in pairs):
        both = [pair for pair in pairs if pair.second == second]
        other = _whom(both[0], reference)
        main = [pair for pair in both if pair.measure in MAIN[pair.family]]
        said += [_claim(pair, other, confidence) for pair in main]
        rest = [pair for pair in both if pair not in main]
        said += [_beside(both[0].first, other, rest, confidence)] if rest else []
    return said


def main_verdicts(said: Sequence[Verdict]) -> int:
    """How many verdicts, from the first, are shown large: those of the first student and what the judge says of it."""
    beside = next((place for place, one in enumerate(said) if " beside " in one.claim), len(said))
    return max(1, beside)


def open_verdicts(comparison: ResponseComparison) -> int:
    """How many verdicts are shown at once: those of the first student; of several students the others are folded."""
    judged = comparison.judge.judged if comparison.judge is not None else ()
    subjects = [one.student for one in judged if one.rows] + [pair.first for pair in comparison.pairs]
    others = {name for name in subjects if name != subjects[0]}
    said = comparison.verdicts
    about = [any(f" {name} " in f" {one.claim} " for name in others) for one in said]
    return about.index(True) if True in about else len(said)


def direction(pair: ResponsePair, confidence: float) -> int:
    """1: the first is better, -1: it is worse, 0: neither can be said."""
    if not is_clear(pair, confidence):
        return 0
    return MEASURES[pair.measure].better * (1 if (pair.difference.value or 0) > 0 else -1)


def _whom(pair: ResponsePair, reference: str) -> str:
    if pair.family == "teacher":
        return f"the {reference}"
    return "its base" if pair.family == "base" else pair.second


def _claim(pair: ResponsePair, other: str, confidence: float) -> Verdict:
    measure, way = MEASURES[pair.measure], direction(pair, confidence)
    shown = [measure_text(value, pair.measure) for value in (pair.first_value, pair.second_value)]
    figures = f"{measure.head} {shown[0]} against {shown[1]} on {counted(pair.rows, 'question')}"
    ends = measure_changes(pair.difference, pair.measure)
    span = f"{100 * confidence:g}% interval {ends}; {pair.test} {p_sentence(pair.p, pair.p_holm)}"
    told = f"{figures}; difference {measure_change(pair.difference.value or 0.0, pair.measure)}, {span}"
    seeds = _seeds(pair)
    if way:
        return Verdict(claim=f"{pair.first} {measure.claims[way < 0]} {other}", figures=told, more=seeds)
    corrected = once_corrected(pair, confidence)
    claim = f"{pair.first} is not distinguishable from {other} in {measure.head}{corrected}"
    more = (at_odds(pair, confidence, "the test"), seeds, _found(pair))
    return Verdict(claim=claim, figures=told, more=" ".join(part for part in more if part))


def _found(pair: ResponsePair) -> str:
    """What could have been found; nothing where every question shows the same difference: no deviation is known."""
    if pair.detectable is None:
        ends = (pair.difference.low or 0.0, pair.difference.high or 0.0)
        alike = pair.rows > 1 and pair.test == "paired permutation" and math.isclose(*ends, abs_tol=1e-9)
        return "" if alike else could_be_found(None, counted(pair.rows, "question"))
    if MEASURES[pair.measure].kind != "plain":
        return could_be_found(f"{100 * pair.detectable:.1f} points", counted(pair.rows, "question"))
    return could_be_found(measure_text(pair.detectable, pair.measure), counted(pair.rows, "question"))


def _beside(first: str, other: str, pairs: Sequence[ResponsePair], confidence: float) -> Verdict:
    words = {1: "better in", 0: "not distinguishable in", -1: "worse in"}
    groups: dict[int, list[str]] = {way: [] for way in words}
    for pair in pairs:
        change = measure_change(pair.difference.value or 0.0, pair.measure)
        groups[direction(pair, confidence)].append(f"{paired_head(pair.measure)} ({change})")
    parts = [f"{words[way]} {listed(names)}" for way, names in groups.items() if names]
    return Verdict(claim=f"{first} beside {other}: {'; '.join(parts)}")


def _judged(one: Judged, model: str, confidence: float) -> Verdict:
    """A judge's word: who wins, how often, and how much of it hangs on the order and on the length."""
    other = "its base" if one.against == "base" else f"the {one.other}"
    likes = (one.student, other) if one.wins > one.losses else (other.replace("its", "the"), one.student)
    claim = f"The judge {model} prefers {likes[0]} to {likes[1]}"
    if one.p_holm >= 1 - confidence:
        claim = f"The judge {model} has no clear preference between {one.student} and {other}"
    rate = f"win rate {percent(one.win_rate.value)}"
    ends = "" if one.win_rate.low is None else f", interval {percent(one.win_rate.low)} to {percent(one.win_rate.high)}"
    counts = f"{one.wins:,} won, {one.losses:,} lost, {one.ties:,} tied of {one.rows:,}"
    if one.unscored:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in one.unscored.items())
        counts += f"; {sum(one.unscored.values()):,} not judged ({reasons})"
    flips = f"The order of the answers changed {percent(one.flips / one.rows)} of the verdicts (counted as ties)."
    words = "" if one.words is None else f" Mean length {one.words[0]:.0f} words against {one.words[1]:.0f}."
    return Verdict(
        claim=claim, figures=f"{rate}{ends}; {counts}; sign test {p_sentence(one.p, one.p_holm)}", more=flips + words
    )


def _seeds(pair: ResponsePair) -> str:
    if pair.all_seeds is None:
        return ""
    change, ends = (
        measure_change(pair.all_seeds.value or 0.0, pair.measure),
        measure_changes(pair.all_seeds, pair.measure),
    )
    return with_all_seeds(change, ends)

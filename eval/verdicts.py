"""What the figures mean, in sentences that a person can quote.

"Better" and "worse" are said only where the corrected p of the exact test is below 1 - confidence; else the models are
not distinguishable *on these rows*, and the sentence says how large a difference would have been found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.claims import at_odds, could_be_found, is_clear, listed, once_corrected, standing, with_all_seeds
from eval.comparison import ModelScores, Pair, Verdict
from eval.numbers import p_sentence, percent, points, points_span
from recipes.counts import counted

FEW_ROWS = 300
"""Below this, an accuracy of 70% has a 95% interval wider than +-5 points."""


def verdicts(models: Sequence[ModelScores], pairs: Sequence[Pair], confidence: float) -> list[Verdict]:
    """Each student against the teacher, then students among themselves, then against the baselines.

    Without gold labels: how far each student agrees with the teacher, and no word on who is right.
    """
    roles = {one.name: one.role for one in models}
    students = [one for one in models if one.role == "student"]
    if not pairs:
        baselines = [one for one in models if one.role == "baseline" and one.agreement.value is not None]
        return [_agreement(one, baselines, confidence) for one in students if one.agreement.value is not None]
    said = [_against(pair, confidence) for pair in pairs if pair.family == "question"]
    said += [_against(pair, confidence) for pair in pairs if roles[pair.first] == roles[pair.second] == "student"]
    beside = [_baselines(student.name, pairs, roles, confidence) for student in students]
    return said + [one for one in beside if one is not None]


def warnings(
    models: Sequence[ModelScores], pairs: Sequence[Pair], rows: int, gold_rows: int, complete: bool
) -> list[str]:
    """What a reader must know before trusting the figures."""
    said = []
    if not complete:
        said.append("Some teacher calls failed for a passing reason; those rows are missing until synth is run again.")
    if not gold_rows:
        said.append("No row has a human label: who is right cannot be told, only who agrees with the teacher.")
    elif gold_rows < rows:
        have = "has" if gold_rows == 1 else "have"
        said.append(f"Only {gold_rows:,} of {counted(rows, 'row')} {have} a human label; accuracy is over those.")
    if 0 < gold_rows < FEW_ROWS:
        said.append(_few(gold_rows, [pair.detectable for pair in pairs if pair.family == "question"]))
    teacher = next((one for one in models if one.role == "teacher"), None)
    if teacher is not None and teacher.answered < rows:
        said.append(_unanswered(teacher, rows))
    cut = [f"{one.cut:,} of {counted(rows, 'text')} for {one.name}" for one in models if one.cut]
    return said + ([f"Longer than the student reads (max_length), and cut: {', '.join(cut)}."] if cut else [])


def _few(rows: int, detectable: Sequence[float | None]) -> str:
    """detectable: of each student against the teacher."""
    found = [least for least in detectable if least is not None]
    told = f"{counted(rows, 'row')} {'is' if rows == 1 else 'are'} few"
    if not detectable:
        return f"{told}."
    if len(found) < len(detectable):
        return f"{told}: a difference from the teacher would mostly go unseen, however large."
    least = counted(round(100 * max(found)), "point")
    return f"{told}: a difference from the teacher below about {least} would mostly go unseen."


def _unanswered(teacher: ModelScores, rows: int) -> str:
    share = teacher.accuracy_all.value
    wrong = "" if share is None else f"; counted as wrong, they would put its accuracy at {percent(share)}"
    return (
        f"The teacher gave no usable answer to {rows - teacher.answered:,} of {counted(rows, 'row')}. They count "
        f"against its coverage, not its accuracy{wrong}."
    )


def _against(pair: Pair, confidence: float) -> Verdict:
    second = "the teacher" if pair.family == "question" else pair.second
    value = pair.difference.value or 0.0
    span, test = (
        f"{100 * confidence:g}% interval {points_span(pair.difference)}",
        f"exact McNemar {p_sentence(pair.p, pair.p_holm)}",
    )
    seeds = _seeds(pair)
    if is_clear(pair, confidence):
        word, size = "better" if value > 0 else "worse", f"{abs(100 * value):.1f} points"
        claim = f"{pair.first} is {word} than {second} by {size} on {counted(pair.rows, 'row')}"
        return Verdict(claim=claim, figures=f"{span}; {test}", more=seeds)
    least = None if pair.detectable is None else f"{100 * pair.detectable:.1f} points"
    found = could_be_found(least, counted(pair.rows, "row"))
    corrected = once_corrected(pair, confidence)
    return Verdict(
        claim=f"{pair.first} is not distinguishable from {second} on {counted(pair.rows, 'row')}{corrected}",
        figures=f"difference {points(value)} points, {span}; {test}",
        more=" ".join(part for part in (at_odds(pair, confidence, "the exact test"), seeds, found) if part),
    )


def _seeds(pair: Pair) -> str:
    if pair.all_seeds is None:
        return ""
    return with_all_seeds(points(pair.all_seeds.value or 0.0), points_span(pair.all_seeds))


def _baselines(student: str, pairs: Sequence[Pair], roles: Mapping[str, str], confidence: float) -> Verdict | None:
    mine = [pair for pair in pairs if pair.first == student and roles[pair.second] == "baseline"]
    if not mine:
        return None
    tests = sum(pair.family == "students" for pair in pairs)
    how = "exact McNemar" + (f", Holm's correction for {tests} tests" if tests > 1 else "")
    return Verdict(claim=f"{student} beside the baselines, in points: {standing(mine, confidence)}", figures=how)


def _agreement(student: ModelScores, baselines: Sequence[ModelScores], confidence: float) -> Verdict:
    one = student.agreement
    low, high = percent(one.low), percent(one.high)
    ends = "" if one.low is None else f"{100 * confidence:g}% interval of {student.name} {low} to {high}"
    claim = f"{student.name} agrees with the teacher on {percent(one.value)} of the rows"
    if baselines:
        claim += f", {listed([f'{other.name} on {percent(other.agreement.value)}' for other in baselines])}"
    return Verdict(claim=claim, figures=ends)

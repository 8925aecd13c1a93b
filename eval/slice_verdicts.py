"""What the scores by slice mean, in sentences: nothing is claimed of slices with few rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from eval.claims import is_clear, listed
from eval.comparison import Pair, Slice, SliceColumn, Verdict
from eval.numbers import percent, points
from eval.slices import FEW_IN_SLICE

_MARKUP = re.compile(r"[<>\[\]|\\`!]")
_LONGEST = 40
_NAMED = 3
"""Slices that a sentence names where there is nothing to say of each; more are counted."""


def slice_verdicts(columns: Sequence[SliceColumn], students: Sequence[str], confidence: float) -> list[Verdict]:
    """For each column and student: on which slices it is better or worse than the teacher; without human labels, how
    far they agree.
    """
    found = [_verdict(column, student, confidence) for column in columns for student in students]
    return [verdict for verdict in found if verdict is not None]


def slice_warnings(columns: Sequence[SliceColumn]) -> list[str]:
    """What the tables by slice leave out."""
    said = []
    for one in columns:
        if one.slices and all(part.few for part in one.slices):
            said.append(
                f"No value of {one.column} has {FEW_IN_SLICE} test rows: figures by it are shown, and none tested."
            )
        if one.without:
            said.append(f"Test rows without a value in {one.column}, in none of its slices: {one.without:,}.")
        if one.not_shown:
            values = len(one.slices) + one.not_shown
            said.append(f"{one.column} has {values:,} values; the {len(one.slices)} with the most test rows are shown.")
    return said


def _verdict(column: SliceColumn, student: str, confidence: float) -> Verdict | None:
    tested = {one.value: pair for one in column.slices for pair in one.pairs if pair.first == student}
    if tested:
        return _tested(column, student, tested, confidence)
    known = {
        one.value: value for one in column.slices if not one.few and (value := _agreement(one, student)) is not None
    }
    if not known:
        return None
    ends = min(known, key=lambda value: known[value]), max(known, key=lambda value: known[value])
    low, high = (f"{percent(known[value])} ({_plain(value)})" for value in ends)
    share = f"{low} to {high}" if len(known) > 1 else low
    few = [one.value for one in column.slices if one.value not in known]
    claim = f"{student} by {column.column} agrees with the teacher on {share} of the rows"
    return Verdict(claim=claim + _left_out(few, "rows"))


def _tested(column: SliceColumn, student: str, tested: Mapping[str, Pair], confidence: float) -> Verdict:
    change = {value: pair.difference.value or 0.0 for value, pair in tested.items() if is_clear(pair, confidence)}
    better = [f"{_plain(value)} ({points(size)})" for value, size in change.items() if size > 0]
    worse = [f"{_plain(value)} ({points(size)})" for value, size in change.items() if size < 0]
    same = [_plain(value) for value in tested if value not in change]
    parts = [f"better on {listed(better)}"] if better else []
    parts += [f"worse on {listed(worse)}"] if worse else []
    if same:
        which = listed(same) if len(same) <= _NAMED else f"{len(same)} of {len(tested)}"
        parts.append(f"not distinguishable on {which}")
    few = [one.value for one in column.slices if one.value not in tested]
    tests = sum(len(one.pairs) for one in column.slices)
    return Verdict(
        claim=f"{student} by {column.column}, beside the teacher, in points: {', '.join(parts)}"
        + _left_out(few, "rows that both answered and a person labelled"),
        figures="exact McNemar" + (f", Holm's correction for {tests} tests" if tests > 1 else ""),
    )


def _left_out(few: Sequence[str], rows: str) -> str:
    if not few:
        return ""
    which = listed([_plain(value) for value in few]) if len(few) <= _NAMED else f"{len(few)} more"
    return f"; no verdict on {which}, with fewer than {FEW_IN_SLICE} {rows}"


def _plain(value: str) -> str:
    """A value of the source's, which may be anything, as a sentence of Markdown can hold it."""
    return _MARKUP.sub("", value)[:_LONGEST]


def _agreement(one: Slice, student: str) -> float | None:
    return next((scores.agreement.value for scores in one.models if scores.model == student), None)

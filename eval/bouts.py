"""What two verdicts on each question, one for each order of the answers, say of two models. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.comparison import Figure
from eval.intervals import bootstrap_mean, holm
from eval.responses import Judged, Other
from recipes.judge_prompt import VERDICTS
from recipes.schema import Evaluation

FIRST, SECOND, TIE = VERDICTS


@dataclass(frozen=True)
class Bout:
    """A student's answer and another's to one question, each with its length in words."""

    student: str
    other: str
    against: Other
    place: int
    words: tuple[int, int]


@dataclass
class Ruling:
    """A judged bout. verdicts: with the student's answer first, then second, as the judge said them (a: the first).

    unscored: why there are no two verdicts, or empty.
    """

    bout: Bout
    verdicts: tuple[str, ...] = ()
    unscored: str = ""

    @property
    def flipped(self) -> bool:
        """Whether the two orders disagree on who is better."""
        return self.verdicts != () and _student(self.verdicts[0], True) != _student(self.verdicts[1], False)

    @property
    def score(self) -> float:
        """1: the student's answer is better, 0: the other's, 0.5: a tie, or the order decided."""
        return 0.5 if self.flipped else _student(self.verdicts[0], True)


def _student(verdict: str, first: bool) -> float:
    """A verdict as the student's score, where its answer stood first or second."""
    if verdict == TIE:
        return 0.5
    return float((verdict == FIRST) == first)


@dataclass
class _Group:
    rulings: list[Ruling] = field(default_factory=list)

    @property
    def scored(self) -> list[Ruling]:
        return [one for one in self.rulings if not one.unscored]


def tally_rulings(rulings: Sequence[Ruling], how: Evaluation) -> tuple[Judged, ...]:
    """The rulings by pair of models, in their order; p corrected over all pairs."""
    groups: dict[tuple[str, str, Other], _Group] = {}
    for one in rulings:
        bout = one.bout
        groups.setdefault((bout.student, bout.other, bout.against), _Group()).rulings.append(one)
    found = [_judged(names, group, how) for names, group in groups.items()]
    corrected = holm([one.p for one in found])
    return tuple(one.model_copy(update={"p_holm": p}) for one, p in zip(found, corrected, strict=True))


def _judged(names: tuple[str, str, Other], group: _Group, how: Evaluation) -> Judged:
    student, other, against = names
    scored = group.scored
    scores = np.array([one.score for one in scored])
    wins, losses = int((scores == 1).sum()), int((scores == 0).sum())
    rate = Figure()
    if len(scores):
        ends = bootstrap_mean(scores, how.confidence, how.resamples, how.seed)
        rate = Figure(value=float(scores.mean()), low=ends.low, high=ends.high)
    p = sign_test(wins, losses)
    words = [float(np.mean([one.bout.words[side] for one in scored])) for side in (0, 1)] if scored else None
    return Judged(
        student=student,
        other=other,
        against=against,
        rows=len(scored),
        wins=wins,
        losses=losses,
        ties=len(scored) - wins - losses,
        flips=sum(one.flipped for one in scored),
        unscored=dict(Counter(one.unscored for one in group.rulings if one.unscored).most_common()),
        win_rate=rate,
        words=None if words is None else (words[0], words[1]),
        first_wins=_share([one == FIRST for ruling in scored for one in ruling.verdicts if one != TIE]),
        longer_wins=_share([_longer(one) for one in scored if one.score != 0.5 and len(set(one.bout.words)) == 2]),
        p=p,
        p_holm=p,
    )


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p of as many wins against losses, ties left out, were both as likely."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    return float(binomtest(wins, wins + losses, 0.5).pvalue) if wins + losses else 1.0


def _longer(ruling: Ruling) -> bool:
    """Whether the winner's answer is the longer one."""
    ours, theirs = ruling.bout.words
    return (ours > theirs) == (ruling.score == 1)


def _share(held: Sequence[bool]) -> float | None:
    return sum(held) / len(held) if held else None

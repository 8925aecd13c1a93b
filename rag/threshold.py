"""When a search has found nothing: a probability from its signals, and how high it must be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rag.signals import Signals

_PARTS = 10
"""Parts of the questions that are measured, each by a level set on the rest."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A logistic regression on the cosine, and the least probability at which a question is answered.

    refused, accepted: on questions that it was not set on, the share of the catalogue's own that it refuses, and of
    those that the catalogue does not answer that it lets through. questions: the answered ones that it was set on.
    """

    weight: float
    bias: float
    least: float
    refused: float
    accepted: float
    questions: int = 0

    def confidence(self, signals: Signals) -> float:
        """Probability that the catalogue answers, were half of all questions such ones; `least` at least where the
        question's words are all there.
        """
        found = _logistic(self.bias + self.weight * signals.cosine)
        return max(found, self.least) if signals.named else found

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def threshold_from(value: dict[str, Any]) -> Threshold:
    """What `as_json` gave."""
    return Threshold(**value)


def fit_threshold(answered: Sequence[float], unanswered: Sequence[float], refuse: float) -> Threshold | None:
    """Fit on the cosines of questions that the catalogue answers, and of some that it does not; three of each at least.
    None where the answered ones are no nearer: a level would refuse them and let the others through.

    refuse: share of the answered questions that may be refused; 0 sets the threshold to 0. What is reported is measured
    on each tenth of the questions, by a level set on the other nine.
    """
    free = _regression(answered, unanswered)
    if free.weight <= 0:
        return None
    least = free.confidence(Signals(level(answered, refuse))) if refuse else 0.0
    refused, accepted = _held_out(answered, unanswered, refuse) if refuse else (0.0, 1.0)
    return replace(free, least=least, refused=refused, accepted=accepted, questions=len(answered))


def level(cosines: Sequence[float], share: float) -> float:
    """The cosine below which at most `share` of further answered questions are to be expected.

    A new value is below the k-th smallest of n with probability k / (n + 1), however they are spread. Where they are
    too few even for the smallest, it is the bound below which one more value of a normal distribution would fall.
    """
    ordered = sorted(cosines)
    rank = int(share * (len(ordered) + 1) + 1e-9)
    if rank:
        return ordered[rank - 1]
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    spread = statistics.stdev(ordered) * math.sqrt(1 + 1 / len(ordered))
    return min(ordered[0], statistics.fmean(ordered) + float(stdtrit(len(ordered) - 1, share)) * spread)


def _regression(answered: Sequence[float], unanswered: Sequence[float]) -> Threshold:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    labels = [1] * len(answered) + [0] * len(unanswered)
    # so little is to be fitted that nothing needs to be held back (C), and cosines are not standardised
    model = LogisticRegression(class_weight="balanced", C=1e3)
    model.fit([[value] for value in [*answered, *unanswered]], labels)
    return Threshold(float(model.coef_[0, 0]), float(model.intercept_[0]), 0.0, 0.0, 1.0)


def _held_out(answered: Sequence[float], unanswered: Sequence[float], refuse: float) -> tuple[float, float]:
    """The shares of answered and of unanswered questions that are refused and let through by a level set on others."""
    refused = accepted = 0
    for part in range(_PARTS):
        least = level([value for place, value in enumerate(answered) if place % _PARTS != part], refuse)
        refused += sum(value < least for value in answered[part::_PARTS])
        accepted += sum(value >= least for value in unanswered[part::_PARTS])
    return refused / len(answered), accepted / len(unanswered)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0

"""When a search has found nothing: a probability from its signals, and how high it must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rag.signals import Signals


@dataclass(frozen=True, slots=True)
class Threshold:
    """A logistic regression on the cosine, and the least probability at which a question is answered.

    refused, accepted: on questions that it was not set on, the share of the catalogue's own that it refuses, and of
    those that the catalogue does not answer that it lets through.
    """

    weight: float
    bias: float
    least: float
    refused: float
    accepted: float

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


def fit_threshold(answered: Sequence[float], unanswered: Sequence[float], refuse: float) -> Threshold:
    """Fit on the cosines of questions that the catalogue answers, and of some that it does not; two of each at least.

    refuse: share of the answered questions that may be refused; 0 sets the threshold to 0. What is reported comes of a
    fit on every other question, measured on the rest.
    """
    half = _fit(answered[::2], unanswered[::2], refuse)
    return replace(
        _fit(answered, unanswered, refuse),
        refused=_share_below(half, answered[1::2]),
        accepted=1 - _share_below(half, unanswered[1::2]),
    )


def _fit(answered: Sequence[float], unanswered: Sequence[float], refuse: float) -> Threshold:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    labels = [1] * len(answered) + [0] * len(unanswered)
    # so little is to be fitted that nothing needs to be held back (C), and cosines are not standardised
    model = LogisticRegression(class_weight="balanced", C=1e3)
    model.fit([[value] for value in [*answered, *unanswered]], labels)
    free = Threshold(float(model.coef_[0, 0]), float(model.intercept_[0]), 0.0, 0.0, 1.0)
    return replace(free, least=free.confidence(Signals(_quantile(answered, refuse))) if refuse else 0.0)


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which at most `share` of all lie."""
    return sorted(values)[int(len(values) * share)]


def _share_below(threshold: Threshold, cosines: Sequence[float]) -> float:
    below = sum(threshold.confidence(Signals(value)) < threshold.least for value in cosines)
    return below / len(cosines) if cosines else 0.0


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0

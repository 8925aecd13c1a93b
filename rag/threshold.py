"""When a search has found nothing: a probability from its signals, and how high it must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag.signals import Signals


@dataclass(frozen=True, slots=True)
class Threshold:
    """A logistic regression on standardised signals, and the least probability at which a question is answered.

    mean, scale, weights: one per signal. refused, accepted: on questions that it was not fitted on, the share of the
    catalogue's own that it refuses, and of those that the catalogue does not answer that it lets through.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    least: float
    refused: float
    accepted: float

    def confidence(self, signals: Signals) -> float:
        """Probability that the catalogue answers, were half of all questions such ones."""
        rows = zip(signals.values(), self.mean, self.scale, self.weights, strict=True)
        logit = self.bias + sum((value - mean) / scale * weight for value, mean, scale, weight in rows)
        return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def threshold_from(value: dict[str, Any]) -> Threshold:
    """What `as_json` gave."""
    fields: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in value.items()}
    return Threshold(**fields)


def fit_threshold(answered: Sequence[Signals], unanswered: Sequence[Signals], refuse: float) -> Threshold:
    """Fit on every other question of each kind, and measure on the rest. Four of each kind at least.

    refuse: share of the answered questions that may be refused; 0 sets the threshold to 0.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    rows = [one.values() for one in [*answered[::2], *unanswered[::2]]]
    scaler = StandardScaler().fit(rows)
    labels = [1] * len(answered[::2]) + [0] * len(unanswered[::2])
    model = LogisticRegression(class_weight="balanced").fit(scaler.transform(rows), labels)
    free = Threshold(
        mean=tuple(map(float, scaler.mean_)),
        scale=tuple(map(float, scaler.scale_)),
        weights=tuple(map(float, model.coef_[0])),
        bias=float(model.intercept_[0]),
        least=0.0,
        refused=0.0,
        accepted=1.0,
    )
    least = _quantile([free.confidence(one) for one in answered[::2]], refuse)
    return Threshold(
        free.mean, free.scale, free.weights, free.bias, least,
        refused=_share_below([free.confidence(one) for one in answered[1::2]], least),
        accepted=1 - _share_below([free.confidence(one) for one in unanswered[1::2]], least),
    )  # fmt: skip


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which at most `share` of all lie; 0 for none."""
    return sorted(values)[int(len(values) * share)] if share else 0.0


def _share_below(values: Sequence[float], least: float) -> float:
    return sum(value < least for value in values) / len(values) if values else 0.0

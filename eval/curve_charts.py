"""Where the marks of the training curves stand; the template draws them as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.charts import Axis
from eval.comparison import LossCurve


@dataclass(frozen=True)
class LossChart:
    """One training in a box of 100 by 100, as SVG points: both losses on one scale, the scores on one of their own.

    best: where the weights are from that were kept.
    """

    curve: LossCurve
    training: str
    validation: str
    scores: str
    best: float | None


def loss_chart(curve: LossCurve) -> LossChart | None:
    """None for a training too short to have a course."""
    training = list(zip(curve.steps, curve.loss, strict=True))
    if len(training) < 2:
        return None
    validation, scores = (_known(curve.validation_steps, values) for values in (curve.validation, curve.scores))
    steps = [step for step, _ in [*training, *validation, *scores]]
    across = Axis(min(steps), max(steps), ())
    losses = [*training, *validation]
    best = None if curve.best_step is None else across.at(curve.best_step)
    return LossChart(
        curve, _line(training, across, losses), _line(validation, across, losses), _line(scores, across, scores), best
    )


def loss_charts(curves: Iterable[LossCurve]) -> tuple[list[LossChart], list[LossChart]]:
    """The charts of the seeds that validation chose, and those of the other seeds."""
    found = [chart for curve in curves if (chart := loss_chart(curve)) is not None]
    return [one for one in found if one.curve.chosen], [one for one in found if not one.curve.chosen]


def _known(steps: Sequence[int], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(step, value) for step, value in zip(steps, values, strict=False) if value is not None]


def _line(points: Sequence[tuple[float, float]], across: Axis, all_of_scale: Sequence[tuple[float, float]]) -> str:
    """Points of a line, down from the highest of all that share its scale; one that is 0 all along lies at the foot."""
    values = [value for _, value in all_of_scale]
    high, low = max(values, default=0.0), min(values, default=0.0)
    if high == low:
        high, low = high or 1.0, 0.0
    return " ".join(f"{across.at(step)},{round(100 * (high - value) / (high - low), 2)}" for step, value in points)

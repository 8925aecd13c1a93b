"""Where the marks of the report's charts stand: figures in, coordinates out; the template draws them as inline SVG.

Across, charts that hold text use percent of their width, so that they are as readable on a phone as on a desk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from eval.comparison import Comparison, ConfidenceBin, Figure, Funnel, ModelScores
from eval.numbers import span

HEAT_STEPS = 10
NAME_WIDTH, NAME_HEIGHT, DOT_WIDTH = 18, 7, 3
"""Room that a name and a dot take on the chart of costs, in percent of its sides."""
MATRIX_LABELS = 12
"""With more labels than this the confusion matrix is a list of the most frequent confusions."""


@dataclass(frozen=True)
class Axis:
    """A straight or logarithmic axis from `low` to `high`, with its ticks as (value, percent of the width)."""

    low: float
    high: float
    ticks: tuple[tuple[float, float], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Percent of the width at which a value stands."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(100 * (value - low) / (high - low), 2)


def share_axis(values: Sequence[float]) -> Axis:
    """An axis of shares around `values`, its ends and ticks on round percentages."""
    step = next(step for step in (0.05, 0.1, 0.2) if (max(values) - min(values)) / step <= 7)
    low = max(0.0, math.floor(min(values) / step - 0.2) * step)
    high = min(1.0, math.ceil(max(values) / step + 0.2) * step)
    if high <= low:
        low, high = max(0.0, low - step), min(1.0, high + step)
    bare = Axis(low, high, ())
    values = [low + step * place for place in range(round((high - low) / step) + 1)]
    return Axis(low, high, tuple((value, bare.at(value)) for value in values))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis over positive values, ticks at powers of ten."""
    first, last = math.floor(math.log10(min(values)) - 0.1), math.ceil(math.log10(max(values)) + 0.1)
    bare = Axis(10.0**first, 10.0**last, (), log=True)
    every = 1 + (last - first) // 7
    powers = range(first, last + 1, every)
    return Axis(bare.low, bare.high, tuple((10.0**power, bare.at(10.0**power)) for power in powers), log=True)


class Shown(Protocol):
    """What a dot stands for."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def about(self) -> str: ...


@dataclass(frozen=True)
class Dot:
    """A model on the headline chart: its figure and its interval in words; places in percent of the width."""

    model: Shown
    text: str
    span: str
    at: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class DotChart:
    """A share, and a dot for each model; `unit` follows the numbers of the axis."""

    metric: str
    axis: Axis
    dots: tuple[Dot, ...]
    unit: str = "%"


def headline(comparison: Comparison) -> DotChart | None:
    """Accuracy where there are gold labels, else agreement with the teacher; None where nothing was measured."""
    metric = "accuracy" if comparison.gold_rows else "agreement"
    return dot_chart(
        metric,
        [(one, getattr(one, metric), [getattr(seed, metric) for seed in one.seeds]) for one in comparison.models],
    )


def dot_chart(
    metric: str, measured: Iterable[tuple[Shown, Figure, Sequence[float | None]]], unit: str = "%"
) -> DotChart | None:
    """A dot for each model that has the figure, its interval, and a ring for each of several seeds; None where no model
    has it. measured: a model, its figure, and that of each of its seeds.
    """
    shown = [
        (model, figure, figure.value, [value for value in seeds if value is not None])
        for model, figure, seeds in measured
        if figure.value is not None
    ]
    if not shown:
        return None
    ends = [end for _, figure, _, _ in shown for end in (figure.low, figure.high) if end is not None]
    axis = share_axis([*ends, *(value for _, _, middle, seeds in shown for value in (middle, *seeds))])
    dots = []
    for model, figure, value, seeds in shown:
        low, high = (axis.at(value if end is None else end) for end in (figure.low, figure.high))
        rings = tuple(map(axis.at, seeds)) if len(seeds) > 1 else ()
        dots.append(Dot(model, f"{100 * value:.1f}{unit}", span(figure), axis.at(value), low, high, rings))
    return DotChart(metric, axis, tuple(dots), unit)


@dataclass(frozen=True)
class CostDot:
    """A model on the chart of cost against accuracy: percent across, percent down; its name at `tag`."""

    model: ModelScores
    across: float
    down: float
    tag: float = 0.0
    tag_across: float = 0.0


@dataclass(frozen=True)
class CostChart:
    """USD for 1,000 answers (logarithmic) against accuracy."""

    cost: Axis
    accuracy: Axis
    dots: tuple[CostDot, ...]


def cost_chart(comparison: Comparison) -> CostChart | None:
    """None unless two models have both a cost and an accuracy; a model that reads no text is no choice to weigh."""
    shown = [
        (one, one.usd_per_1000, one.accuracy.value)
        for one in comparison.models
        if one.usd_per_1000 and one.accuracy.value is not None and one.name != "majority"
    ]
    if len(shown) < 2:
        return None
    cost, share = log_axis([usd for _, usd, _ in shown]), share_axis([value for _, _, value in shown])
    dots = [CostDot(one, cost.at(usd), round(100 - share.at(value), 2)) for one, usd, value in shown]
    return CostChart(cost, share, _tagged(dots))


def _tagged(dots: Sequence[CostDot]) -> tuple[CostDot, ...]:
    """Put each name beside its dot, clear of the dots and names that stand there already."""
    placed: list[CostDot] = []
    for dot in sorted(dots, key=lambda one: (one.down, -one.across)):
        near = [other for other in placed if abs(other.across - dot.across) < NAME_WIDTH]
        down = dot.down
        while any(abs(other.tag - down) < NAME_HEIGHT for other in near):
            down += NAME_HEIGHT / 2
        in_line = sorted(other.across for other in dots if abs(other.down - down) < NAME_HEIGHT)
        placed.append(replace(dot, tag=round(down, 2), tag_across=_right_of(dot.across, in_line)))
    return tuple(placed)


def _right_of(across: float, dots: Sequence[float]) -> float:
    """The last of the dots that touch one another, beginning at `across`; `dots` from left to right."""
    for other in dots:
        if 0 < other - across < DOT_WIDTH:
            across = other
    return across


def paleness(count: int, bins: Sequence[ConfidenceBin]) -> float:
    """Opacity of a bar of the reliability diagram: the fewer answers in it, the paler (by the square root)."""
    return round(0.15 + 0.85 * math.sqrt(count / max(one.count for one in bins)), 2)


def heat(matrix: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
    """Each cell's count, and its share of its row in steps of a tenth."""
    return [[(count, round(HEAT_STEPS * count / max(1, sum(row)))) for count in row] for row in matrix]


def confusions(model: ModelScores, labels: Sequence[str], most: int = 15) -> list[tuple[str, str, int]]:
    """The most frequent mistakes as (gold, predicted, count)."""
    names = [*labels, "unanswered"]
    cells = [
        (labels[row], names[column], count)
        for row, counts in enumerate(model.confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(cells, key=lambda cell: -cell[2])[:most]


@dataclass(frozen=True)
class Bar:
    """A length of the funnel, in percent of everything read."""

    name: str
    count: int
    kind: str
    width: float


def funnel_bars(funnel: Funnel, asked: str = "asked") -> list[Bar]:
    """Read, not drawn and set aside before asking; asked; kept by split; rejected by reason. asked: its name."""
    aside = {"not drawn": funnel.not_drawn or 0, **funnel.set_aside}
    read = funnel.asked + sum(aside.values())
    parts = [
        ("whole", {"read": read} if read > funnel.asked else {}),
        ("aside", aside),
        ("whole", {asked: funnel.asked}),
        ("kept", {f"kept, {split}": count for split, count in funnel.kept.items()}),
        ("rejected", funnel.rejected),
    ]
    return [
        Bar(name.replace("_", " "), count, kind, round(100 * count / max(1, read), 2))
        for kind, counts in parts
        for name, count in counts.items()
        if count
    ]

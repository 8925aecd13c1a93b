"""Where the marks of the charts of generated answers stand; the template draws them as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from eval.charts import Dot, DotChart, share_axis
from eval.measures import MEASURES
from eval.numbers import measure_span, measure_text
from eval.responses import Judged, LossCurve, ResponseComparison, ResponsePair, ResponseScores

HEADLINES = {
    "rouge_l": "Overlap with the reference responses: words in the same order, ROUGE-L.",
    "grounded": "Responses without a number, name or quotation that neither the facts nor the question have.",
}
TITLES = {"rouge_l": "Closeness to the {reference}", "grounded": "Grounded answers"}
POINTS = 60
"""Most points of a training curve; between them the mean is drawn."""


def dot_charts(comparison: ResponseComparison) -> list[tuple[str, str, DotChart]]:
    """(title, hint, chart) of each headline measure that some model has."""
    found = []
    for measure, hint in HEADLINES.items():
        chart = measure_dots(comparison.models, measure)
        if chart is not None:
            found.append((TITLES[measure].format(reference=comparison.reference), hint, chart))
    return found


def measure_dots(models: Sequence[ResponseScores], measure: str) -> DotChart | None:
    """A dot and an interval for each model; None where nothing was measured. For shares and points, 0 to 1."""
    shown = [(one, one.figure(measure)) for one in models if one.figure(measure).value is not None]
    if not shown:
        return None
    seeds = {
        one.name: [value for seed in one.seeds if (value := seed.figures.get(measure)) is not None] for one in models
    }
    ends = [end for _, figure in shown for end in (figure.value, figure.low, figure.high) if end is not None]
    axis = share_axis([*ends, *(value for values in seeds.values() for value in values)])
    dots = []
    for one, figure in shown:
        low, high = (figure.value if end is None else end for end in (figure.low, figure.high))
        rings = tuple(axis.at(value) for value in seeds[one.name]) if len(one.seeds) > 1 else ()
        text, span = measure_text(figure.value, measure), measure_span(figure, measure)
        dots.append(Dot(one, text, span, axis.at(figure.value or 0), axis.at(low or 0), axis.at(high or 0), rings))
    unit = "%" if MEASURES[measure].kind == "share" else ""
    return DotChart(measure, axis, tuple(dots), unit)


@dataclass(frozen=True)
class Part:
    """A piece of a bar in percent of its width."""

    kind: str
    count: int
    start: float
    width: float


def judged_bars(judged: Sequence[Judged]) -> list[tuple[Judged, list[Part]]]:
    """Won, tied and lost of each pair."""
    return [(one, list(_parts(one))) for one in judged]


def _parts(one: Judged) -> Iterator[Part]:
    start = 0.0
    for kind, count in (("won", one.wins), ("tied", one.ties), ("lost", one.losses)):
        width = round(100 * count / max(1, one.rows), 2)
        if count:
            yield Part(kind, count, round(start, 2), width)
        start += width


def grouped_pairs(pairs: Sequence[ResponsePair]) -> list[tuple[tuple[str, str], list[ResponsePair]]]:
    """The tests of each two models together, in their order."""
    return [(names, list(some)) for names, some in groupby(pairs, key=lambda pair: (pair.first, pair.second))]


@dataclass(frozen=True)
class LossChart:
    """One training run in a box of 100 by 100: SVG points of both losses on one scale, and where the best step is."""

    curve: LossCurve
    training: str
    validation: str
    best: float | None


def loss_chart(curve: LossCurve) -> LossChart | None:
    """None for a run too short to have a course."""
    if len(curve.steps) < 2:
        return None
    training = _thinned(curve)
    validation = list(zip(curve.validation_steps, curve.validation, strict=True))
    losses = [loss for _, loss in [*training, *validation]]
    low, height = min(losses), max(1e-9, max(losses) - min(losses))
    first, length = curve.steps[0], max(1, curve.steps[-1] - curve.steps[0])

    def place(step: float) -> float:
        return round(100 * (step - first) / length, 2)

    def line(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{place(step)},{round(100 - 100 * (loss - low) / height, 2)}" for step, loss in points)

    best = None if curve.best_step is None else place(curve.best_step)
    return LossChart(curve, line(training), line(validation), best)


def _thinned(curve: LossCurve) -> list[tuple[float, float]]:
    """Means over equal runs of steps, at most POINTS of them."""
    size = -(-len(curve.steps) // POINTS)
    found = []
    for start in range(0, len(curve.steps), size):
        steps, losses = curve.steps[start : start + size], curve.loss[start : start + size]
        found.append((sum(steps) / len(steps), sum(losses) / len(losses)))
    return found

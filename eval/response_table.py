"""The score table of generated answers: a line per measure, a column per model."""

from __future__ import annotations

from eval.comparison import Figure
from eval.measures import MEASURES
from eval.numbers import NONE, measure_span, measure_text, rate, usd
from eval.responses import ResponseComparison, ResponseScores
from eval.table import Cell, Grid, Line

OTHERS = {
    "cost": ("USD per 1k", "US dollars for 1,000 answers; of the teacher, for 1,000 rows written"),
    "speed": ("Tokens/s", "tokens generated a second, measured here"),
}


def meaning(metric: str) -> tuple[str, str]:
    """Short name of a metric, and what it is in a sentence."""
    return OTHERS[metric] if metric in OTHERS else (MEASURES[metric].head, MEASURES[metric].meaning)


def shown_metrics(comparison: ResponseComparison) -> list[str]:
    """The recipe's metrics in its order, less those that nobody has a figure for."""
    models = comparison.models
    return [name for name in comparison.metrics if any(response_cell(one, name).main != NONE for one in models)]


def response_cell(model: ResponseScores, metric: str) -> Cell:
    """A model's figure in one metric."""
    if metric == "cost":
        written = model.role == "teacher" and model.usd_per_1000 is not None
        return Cell(usd(model.usd_per_1000), interval="rows written" if written else "")
    if metric == "speed":
        return Cell(rate(model.tokens_per_second))
    figure = model.figure(metric)
    return Cell(measure_text(figure.value, metric), _deviation(figure, metric), measure_span(figure, metric))


def response_grid(comparison: ResponseComparison) -> Grid:
    """All that the recipe wants to see."""
    lines = (
        Line(meaning(name)[0], "", tuple(response_cell(model, name) for model in comparison.models))
        for name in shown_metrics(comparison)
    )
    return Grid("measure", tuple((model.name, model.role) for model in comparison.models), tuple(lines))


def _deviation(figure: Figure, metric: str) -> str:
    if figure.deviation is None:
        return ""
    return "±" + measure_text(figure.deviation, metric).removesuffix("%")

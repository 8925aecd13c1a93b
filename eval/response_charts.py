"""Where the marks of the charts of generated answers stand; the template draws them as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from eval.charts import DotChart, dot_chart
from eval.measures import MEASURES
from eval.responses import Judged, ResponseComparison, ResponsePair, ResponseScores

HEADLINES = {
    "rouge_l": "Overlap with the reference responses: words in the same order, ROUGE-L.",
    "grounded": "Responses without a number, name or quotation that neither the facts nor the question have.",
}
TITLES = {"rouge_l": "Closeness to the {reference}", "grounded": "Grounded answers"}


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
    measured = [(one, one.figure(measure), [seed.figures.get(measure) for seed in one.seeds]) for one in models]
    return dot_chart(measure, measured, "%" if MEASURES[measure].kind == "share" else "")


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

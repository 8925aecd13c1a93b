"""Where the marks of the charts of seq2seq students stand; the template draws them as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

from eval.charts import Axis, DotChart, dot_chart, log_axis, share_axis
from eval.numbers import percent
from eval.tuple_comparison import ALL, TupleComparison, TupleModel
from eval.tuple_measures import MEASURES
from eval.tuple_table import BY_SLICE


def set_dots(comparison: TupleComparison, dataset: str) -> DotChart | None:
    """A dot and an interval for each model on a dataset; None where nothing was measured that is drawn."""
    known = comparison.of(dataset)
    measure = next((name for name in BY_SLICE if any(one.figure(name).value is not None for one in known)), None)
    if measure is None:
        return None
    measured = [
        (comparison.model(one.model, dataset), one.figure(measure), [by.figures.get(measure) for by in one.seeds])
        for one in known
    ]
    return dot_chart(measure, measured, "%" if MEASURES[measure].kind == "share" else "")


@dataclass(frozen=True)
class ShareLine:
    """F1 of one base by the share of the train rows: SVG points in a box of 100 by 100, and each as (across, down,
    what it is in words).
    """

    base: str
    points: str
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class ShareChart:
    """F1 against the share of the train rows (logarithmic), a line for each base."""

    shares: tuple[tuple[str, float], ...]
    scores: Axis
    lines: tuple[ShareLine, ...]


def share_chart(comparison: TupleComparison, dataset: str) -> ShareChart | None:
    """None unless students of some base learnt two shares of the rows; a share that two of one base learnt is left to
    the table.
    """
    models = [one for one in comparison.models if one.dataset == dataset and one.share is not None]
    values = {one.name: _f1(comparison, one) for one in models}
    drawn = [one for one in models if values[one.name] is not None and _alone(one, models)]
    shares = sorted({one.share or 1.0 for one in drawn})
    if len(shares) < 2:
        return None
    across, scores = log_axis(shares), share_axis([values[one.name] or 0.0 for one in drawn])
    low, high = across.at(shares[0]), across.at(shares[-1])
    at = {share: round(100 * (across.at(share) - low) / (high - low), 2) for share in shares}
    lines = []
    for base in dict.fromkeys(one.base or "" for one in drawn):
        some = sorted((one for one in drawn if one.base == base), key=lambda one: one.share or 1.0)
        dots = tuple(
            (at[one.share or 1.0], round(100 - scores.at(values[one.name] or 0.0), 2),
             f"{one.name}: {percent(values[one.name])}") for one in some
        )  # fmt: skip
        lines.append(ShareLine(base, " ".join(f"{x},{y}" for x, y, _ in dots), dots))
    return ShareChart(tuple((f"{100 * share:g}%", at[share]) for share in shares), scores, tuple(lines))


def _alone(one: TupleModel, models: list[TupleModel]) -> bool:
    return sum((other.base, other.share) == (one.base, one.share) for other in models) == 1


def _f1(comparison: TupleComparison, one: TupleModel) -> float | None:
    found = comparison.result(one.dataset, ALL, one.name)
    return None if found is None else found.figure("f1").value

"""The score tables of seq2seq students: of each dataset one with a line per model, one by slice, and one by the share
of the train rows, where students differ in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.comparison import Figure
from eval.numbers import NONE, percent, rate, span, usd
from eval.slices import FEW_IN_SLICE
from eval.table import Cell, Grid, Line
from eval.tuple_comparison import ALL, Result, SetPart, TupleComparison, TupleModel
from eval.tuple_measures import MEASURES, OTHERS, SLICES, meaning

BY_SLICE = ("f1", "accuracy", "rouge_l")
"""What slices are shown in: the first of these that a set has."""


def figure_cell(figure: Figure, measure: str) -> Cell:
    """A figure with the deviation between its seeds and its interval."""
    if figure.value is None:
        return Cell(NONE)
    if MEASURES[measure].kind == "points":
        deviation = "" if figure.deviation is None else f"±{100 * figure.deviation:.1f}"
        return Cell(f"{100 * figure.value:.1f}", deviation, span(figure))
    deviation = "" if figure.deviation is None else f"±{100 * figure.deviation:.1f}"
    return Cell(percent(figure.value), deviation, span(figure))


def shown_metrics(comparison: TupleComparison, dataset: str) -> list[str]:
    """The recipe's metrics in its order, less those that nobody has a figure for on this dataset."""
    models = [one for one in comparison.models if one.dataset == dataset]
    found = [name for name in comparison.metrics if any(_cell(comparison, one, name).main != NONE for one in models)]
    results = comparison.of(dataset)
    if "f1_strict" in found and all(one.figure("f1_strict").value == one.figure("f1").value for one in results):
        found.remove("f1_strict")  # nothing is invalid and nothing repeated: it would say the same again
    return found


def set_grid(comparison: TupleComparison, dataset: str) -> Grid:
    """All that the recipe wants to see of one dataset."""
    metrics = shown_metrics(comparison, dataset)
    lines = [
        Line(model.name, model.role, tuple(_cell(comparison, model, name) for name in metrics))
        for model in comparison.models
        if model.dataset == dataset
    ]
    return Grid(dataset, tuple((meaning(name)[0], "") for name in metrics), tuple(lines))


def slice_grid(comparison: TupleComparison, part: SetPart) -> Grid | None:
    """A line per slice, a column per model. None where there is no slice but `all`; one that
    has every row would say the same again.
    """
    known = comparison.of(part.dataset)
    measure = next((name for name in BY_SLICE if any(name in one.figures for one in known)), None)
    slices = {name: rows for name, rows in part.slices.items() if name != ALL and rows < part.rows}
    if measure is None or not slices:
        return None
    lines = []
    for name, rows in slices.items():
        found = [comparison.result(part.dataset, name, one.model) for one in known]
        cells = [_sliced(one, measure) for one in found]
        lines.append(Line(name, "", (Cell(f"{rows:,}", interval="few" if rows < FEW_IN_SLICE else ""), *cells)))
    roles = [(one.model, comparison.model(one.model, part.dataset).role) for one in known]
    return Grid(f"{MEASURES[measure].head} by slice", (("rows", ""), *roles), tuple(lines))


def slice_words(table: Grid) -> str:
    """What stands in a table by slice and needs a word."""
    lines, cells = table.lines, [cell for line in table.lines for cell in line.cells]
    said = [f"{line.name}: {SLICES[line.name]}." for line in lines if line.name in SLICES]
    if any(cell.interval == "few" for cell in cells):
        said.append(f"few: fewer than {FEW_IN_SLICE} rows, read the interval.")
    if table.corner.startswith("F1") and any(cell.main == NONE for cell in cells):
        said.append(f"{NONE}: nothing is gold in these rows, and in some seed nothing was named.")
    return " ".join(said)


def glossary(comparison: TupleComparison) -> list[tuple[str, str]]:
    """Short name and meaning of every figure that somebody has."""
    used = [name for name in comparison.metrics if any(name in one.figures for one in comparison.results)]
    return [meaning(name) for name in dict.fromkeys([*used, *OTHERS])]


def share_grid(comparison: TupleComparison, dataset: str) -> Grid | None:
    """A line per share of the train rows, a column per base; None where all students learnt the same share."""
    models = [one for one in comparison.models if one.dataset == dataset and one.share is not None]
    shares = sorted({one.share or 0.0 for one in models})
    bases = list(dict.fromkeys(one.base or "" for one in models))
    if len(shares) < 2:
        return None
    lines = []
    for share in shares:
        cells = [
            _of_share(comparison, [one for one in models if (one.base, one.share) == (base, share)]) for base in bases
        ]
        lines.append(Line(f"{100 * share:g}% of the train rows", "", tuple(cells)))
    return Grid(f"F1 on {dataset}", tuple((base, "") for base in bases), tuple(lines))


def _of_share(comparison: TupleComparison, models: Sequence[TupleModel]) -> Cell:
    """The only student of a base and a share; of several, each figure with its name and no mean."""
    cells = []
    for one in models:
        found = comparison.result(one.dataset, ALL, one.name)
        cells.append((one.name, figure_cell(Figure() if found is None else found.figure("f1"), "f1")))
    if len(cells) == 1:
        return cells[0][1]
    return Cell(", ".join(f"{name} {cell.main}" for name, cell in cells) or NONE)


def _cell(comparison: TupleComparison, model: TupleModel, metric: str) -> Cell:
    if metric == "cost":
        return Cell(usd(model.usd_per_1000))
    if metric == "speed":
        return Cell(rate(model.seconds_per_1000))
    found = comparison.result(model.dataset, ALL, model.name)
    return Cell(NONE) if found is None else figure_cell(found.figure(metric), metric)


def _sliced(found: Result | None, measure: str) -> Cell:
    return Cell(NONE) if found is None else figure_cell(found.figure(measure), measure)


def seed_grid(comparison: TupleComparison, dataset: str) -> Grid:
    """A line for each (slice, model, seed) of a dataset: nothing in it is a mean."""
    results = [one for one in comparison.results if one.dataset == dataset and one.seeds[0].seed is not None]
    names = [name for name in MEASURES if any(name in one.figures for one in results)]
    lines = [
        Line(f"{one.slice}, {one.model}, {by.seed}", "", tuple(_of_seed(by.figures.get(name), name) for name in names))
        for one in results
        for by in one.seeds
    ]
    return Grid("slice, model, seed", tuple((MEASURES[name].head, "") for name in names), tuple(lines))


def _of_seed(value: float | None, measure: str) -> Cell:
    return figure_cell(Figure(value=value), measure)

"""The tables by slice, and by label of a teacher of several, as report.md and report.html show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.comparison import Comparison, LabelAgreement, SliceColumn, SliceScores
from eval.numbers import NONE, decimal, percent
from eval.table import Cell, Grid, Line, share_cell

LONGEST = 60
"""Characters of a value that a table shows."""
_METRICS = {"accuracy": "Accuracy", "agreement": "Agreement with the teacher", "macro_f1": "Macro F1",
            "calibration": "Calibration error (ECE)"}  # fmt: skip


@dataclass(frozen=True)
class SliceTables:
    """What is shown of a slice column: a table for each metric, the first of them the one to read."""

    column: str
    tables: tuple[tuple[str, Grid], ...]
    has_few: bool


def slice_tables(comparison: Comparison) -> list[SliceTables]:
    """The tables of each slice column; metrics that nobody has a figure for have none."""
    found = []
    for column in comparison.slices:
        tables = [(title, _grid(column, metric)) for metric, title in _METRICS.items()]
        shown = tuple((title, grid) for title, grid in tables if grid is not None)
        if shown:
            found.append(SliceTables(column.column, shown, any(one.few for one in column.slices)))
    return found


def _grid(column: SliceColumn, metric: str) -> Grid | None:
    """A line per slice, a column per model that has the figure at all."""
    named: dict[str, str] = {
        one.model: one.role
        for place, one in enumerate(column.slices[0].models if column.slices else ())
        if any(_has(part.models[place], metric) for part in column.slices)
    }
    if not named:
        return None
    lines = []
    for part in column.slices:
        rows = Cell(f"{part.rows:,}", interval="few" if part.few else "")
        cells = (_cell(one, metric) for one in part.models if one.model in named)
        lines.append(Line(_cut(part.value), "", (rows, *cells)))
    return Grid(column.column, (("rows", ""), *named.items()), tuple(lines))


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def _has(one: SliceScores, metric: str) -> bool:
    return getattr(one, metric).value is not None


def _cell(one: SliceScores, metric: str) -> Cell:
    if metric == "calibration":
        return Cell(decimal(one.calibration.value, 3))
    return share_cell(getattr(one, metric))


def label_grid(found: Sequence[LabelAgreement]) -> Grid:
    """A line per student and label."""
    heads = [("label", ""), ("rows", ""), ("teacher says yes", "teacher"), ("student says yes", "student")]
    heads += [("agreement", ""), ("a constant guess agrees", "baseline"), ("F1", "")]
    lines = tuple(Line(one.model, "student", _label_cells(one)) for one in found)
    return Grid("student", tuple(heads), lines)


def _label_cells(one: LabelAgreement) -> tuple[Cell, ...]:
    shares = [Cell(percent(share)) for share in (one.teacher, one.student)]
    f1 = NONE if one.f1 is None else percent(one.f1)
    constant = Cell(percent(max(one.teacher, 1 - one.teacher)))
    return Cell(one.label), Cell(f"{one.rows:,}"), *shares, share_cell(one.agreement), constant, Cell(f1)

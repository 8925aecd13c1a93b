"""The score table, as the terminal, report.md and report.html show it: one line per model, one column per metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.comparison import Comparison, Figure, ModelScores, Verdict
from eval.numbers import NONE, decimal, percent, rate, span, usd

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True)
class Cell:
    """A figure, the deviation between its seeds, and its interval (or what it is of), each where it has one."""

    main: str
    deviation: str = ""
    interval: str = ""

    def line(self) -> str:
        """All in one line."""
        return " ".join(part for part in (self.main, self.deviation, self.interval and f"({self.interval})") if part)


@dataclass(frozen=True)
class Column:
    """A metric: its short name and what it is in a sentence."""

    head: str
    meaning: str
    cell: Callable[[ModelScores], Cell]


def share_cell(figure: Figure) -> Cell:
    """A share in percent, with the deviation between seeds and its interval."""
    deviation = "" if figure.deviation is None else f"±{100 * figure.deviation:.1f}"
    return Cell(percent(figure.value), deviation, span(figure))


def _plain(figure: Figure, digits: int) -> Cell:
    deviation = "" if figure.deviation is None else f"±{figure.deviation:.{digits}f}"
    return Cell(decimal(figure.value, digits), deviation)


COLUMNS: dict[str, Column] = {
    "accuracy": Column("Accuracy", "share of the answered rows that is right", lambda one: share_cell(one.accuracy)),
    "macro_f1": Column("Macro F1", "mean of the labels' F1, answered rows", lambda one: share_cell(one.macro_f1)),
    "agreement": Column(
        "Agreement",
        "share of the rows that both answered on which it says what the teacher says",
        lambda one: share_cell(one.agreement),
    ),
    "kappa": Column("Kappa", "Cohen's kappa with gold: agreement beyond chance", lambda one: _plain(one.kappa, 2)),
    "coverage": Column(
        "Coverage", "share of the rows it gave a usable answer to", lambda one: Cell(percent(one.coverage.value))
    ),
    "calibration": Column(
        "ECE",
        "expected calibration error, 15 bins: how far its confidence is from its accuracy",
        lambda one: _plain(one.calibration, 3),
    ),
    "cost": Column("USD per 1k", "US dollars for 1,000 answers", lambda one: Cell(usd(one.usd_per_1000))),
    "speed": Column("Rows/s", "answers per second, measured here", lambda one: Cell(rate(one.rows_per_second))),
}


def columns(comparison: Comparison) -> list[Column]:
    """The recipe's metrics in its order, less those that nobody has a figure for."""
    wanted = [COLUMNS[metric] for metric in comparison.metrics]
    return [one for one in wanted if any(one.cell(model).main != NONE for model in comparison.models)]


@dataclass(frozen=True)
class Line:
    """A line of a score table: its name, the role of the model where it stands for one, and its cells."""

    name: str
    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """A score table as every report shows it. heads: (name, role of the model it stands for or nothing)."""

    corner: str
    heads: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]

    def texts(self) -> list[list[str]]:
        """All of it as text, the heads first."""
        rows = [[line.name, *(cell.line() for cell in line.cells)] for line in self.lines]
        return [[self.corner, *(name for name, _ in self.heads)], *rows]


def grid(comparison: Comparison) -> Grid:
    """A line per model, a column per metric."""
    shown = columns(comparison)
    lines = (Line(one.name, one.role, tuple(column.cell(one) for column in shown)) for one in comparison.models)
    return Grid("model", tuple((column.head, "") for column in shown), tuple(lines))


def table_lines(table: Grid) -> list[str]:
    """A plain table, aligned by spaces."""
    rows = table.texts()
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(_pad(row, widths)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _pad(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]


def print_table(title: str, table: Grid, notes: Sequence[str]) -> None:
    """Show the scores and what is said of them on stdout: a drawn table in a terminal, aligned text elsewhere."""
    import sys

    if sys.stdout.isatty():
        draw(title, table, notes)
    else:
        sys.stdout.write("\n".join([*table_lines(table), "", *notes]) + "\n")


def notes(verdicts: Sequence[Verdict], warnings: Sequence[str]) -> list[str]:
    """Verdicts, then warnings."""
    return [verdict.text() for verdict in verdicts] + [f"Note: {warning}" for warning in warnings]


STYLES = {"teacher": "magenta", "student": "bold cyan", "baseline": "dim", "base": "dim", "": ""}


def draw(title: str, table: Grid, notes: Sequence[str]) -> None:
    """The table of a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    drawn.add_column(table.corner)
    for name, role in table.heads:
        drawn.add_column(Text(name, style=STYLES[role]), justify="right")
    for line in table.lines:
        drawn.add_row(Text(line.name, style=STYLES[line.role]), *(_rich_cell(cell) for cell in line.cells))
    console = Console()
    console.print(drawn)
    for note in notes:
        console.print(Text(note))


def _rich_cell(cell: Cell) -> Text:
    from rich.text import Text

    text = Text(f"{cell.main} {cell.deviation}".rstrip())
    if cell.interval:
        text.append(f"\n{cell.interval}", style="dim")
    return text

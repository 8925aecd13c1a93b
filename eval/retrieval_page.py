"""retrieval.json, retrieval.md and the self-contained retrieval.html: one report, three readers; and the tables on
stdout.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from eval.charts import Axis, Dot, DotChart, share_axis
from eval.comparison import Figure
from eval.markdown import markdown_table
from eval.numbers import decimal, percent, span
from eval.report import page
from eval.retrieval_report import RetrievalReport
from eval.retrieval_tables import ANSWERS, NAMES, ROLES, answer_grid, kind_grid, measure_head, search_grid
from eval.searching import WAYS, Way
from eval.table import notes, print_table
from recipes.runs import RunFolder, write_atomic

GLOSSARY = {
    "Recall@k": "share of the documents that answer a question that stand among the first k",
    "MRR@10": "1 / rank of the first document that answers, 0 beyond the tenth",
    "nDCG@10": "discounted gain of the first ten as a share of the best that could be; a grade g gains 2^g - 1",
}


class _Shown(NamedTuple):
    """A way of searching as the chart of dots shows it."""

    name: str
    role: str
    about: str


def report_path(run: RunFolder) -> Path:
    """Where the page is."""
    return run.path / "retrieval.html"


def write_retrieval(run: RunFolder, report: RetrievalReport) -> list[Path]:
    """Write the three reports and return their paths."""
    contents = {
        "retrieval.json": report.model_dump_json(indent=1) + "\n",
        "retrieval.md": retrieval_markdown(report),
        "retrieval.html": retrieval_html(report),
    }
    for name, content in contents.items():
        write_atomic(run.path / name, content.encode())
    return [run.path / name for name in contents]


def read_retrieval(run: RunFolder) -> RetrievalReport | None:
    """The report of a retrieval.json; None where there is none, or it is not one of this version."""
    try:
        return RetrievalReport.model_validate_json((run.path / "retrieval.json").read_bytes())
    except (OSError, ValidationError):
        return None


def print_retrieval(report: RetrievalReport) -> None:
    """The tables, the verdicts and the warnings on stdout."""
    questions = f"{report.answerable:,} questions with an answer and {report.unanswerable:,} without ({report.queries})"
    answers = answer_grid(report)
    said = notes(report.verdicts, report.warnings)
    print_table(f"{report.recipe}: {questions}", search_grid(report), [_speed(report)] if answers else said)
    if answers is not None:
        print_table(f"{report.assistant}: {report.answers[0].questions:,} questions", answers, said)


def retrieval_markdown(report: RetrievalReport) -> str:
    """The whole report."""
    parts = [f"# {report.recipe}: retrieval", report.about]
    parts += [verdict.text() for verdict in report.verdicts]
    parts += [f"> {warning}" for warning in report.warnings]
    grids = [
        (f"Retrieval on {report.answerable:,} questions ({report.queries})", search_grid(report)),
        ("By kind of question", kind_grid(report)),
        (f"Answers of {report.assistant}", answer_grid(report)),
    ]
    for title, grid in grids:
        if grid is not None:
            head, *lines = grid.texts()
            parts += [f"## {title}", markdown_table(head, lines)]
    parts += [_speed(report), f"{report.machine}; tutelage {report.version}, {report.made}."]
    return "\n\n".join(part for part in parts if part) + "\n"


def retrieval_html(report: RetrievalReport) -> str:
    """The page: no script, nothing loaded from outside, and a policy against both."""
    return page(
        "retrieval.html.j2",
        report,
        glossary=list(GLOSSARY.items()) + (list(ANSWERS.values()) if report.answers else []),
        main_verdicts=1,
        open_verdicts=len(report.verdicts),
        dots=_dots(report),
        grid=search_grid(report),
        kinds=kind_grid(report),
        answers=answer_grid(report),
        names=NAMES,
        heads={name: measure_head(name) for name in report.measures},
        meanings=dict(ANSWERS.values()),
    )


def _speed(report: RetrievalReport) -> str:
    median, p95 = (decimal(value, 1) for value in (report.milliseconds_median, report.milliseconds_p95))
    return f"A search takes {median} ms (median), {p95} ms (p95), embedding of the question included."


def _dots(report: RetrievalReport) -> DotChart | None:
    shown = [(one.way, one.figures["recall@10"]) for way in WAYS if (one := report.of(way)) is not None]
    if not shown:
        return None
    ends = [end for _, figure in shown for end in (figure.value, figure.low, figure.high) if end is not None]
    axis = share_axis(ends)
    return DotChart("recall@10", axis, tuple(_dot(way, figure, axis) for way, figure in shown))


def _dot(way: Way, figure: Figure, axis: Axis) -> Dot:
    at, low, high = (axis.at(end or 0.0) for end in (figure.value, figure.low, figure.high))
    return Dot(_Shown(NAMES[way], ROLES[way], way), percent(figure.value), span(figure), at, low, high, ())

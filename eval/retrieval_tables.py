"""The tables of a retrieval report, as terminal, Markdown and page show them."""

from __future__ import annotations

from eval.comparison import Figure
from eval.numbers import NONE, decimal, percent, span, usd
from eval.retrieval_report import AnswerScores, KindScores, RetrievalReport
from eval.searching import WAYS, Way
from eval.table import Cell, Grid, Line

NAMES: dict[Way, str] = {"hybrid": "recipe's search", "dense": "vectors alone", "bm25": "words alone (BM25)"}
ROLES: dict[Way, str] = {"hybrid": "student", "dense": "baseline", "bm25": "baseline"}
BY_KIND = ("recall@10", "ndcg@10")
ANSWERS = {
    "grounded": ("Grounded", "share of the answers whose numbers, names, codes and quotations all stand in the "
                 "passages that were found, or in the question"),
    "grounded_cited": ("Grounded in what is cited", "the same, in the passages that the answer cites"),
    "cited": ("Answers with a citation", "share of the answers that cite a passage"),
    "cited_sentences": ("Sentences with a citation", "share of the sentences of all answers"),
    "citation_precision": (
        "Citation precision", "share of the citations whose passage bears their sentence: it has half of the words "
        "that tell something, and every number, name, code and quotation"),
    "right_source": ("Right source", "share of the questions that the catalogue answers whose answer cites a document "
                     "that does"),
    "refused": ("Wrongly refused", "share of the questions that the catalogue answers"),
    "let_through": ("Wrongly answered", "share of the questions that the catalogue does not answer"),
}  # fmt: skip
"""Measure of answers -> (head, meaning)."""


def measure_head(name: str) -> str:
    """`recall@10` as `Recall@10`, `ndcg@10` as `nDCG@10`."""
    return {"m": "MRR", "n": "nDCG", "r": "Recall"}[name[0]] + name[name.index("@") :]


def figure_text(name: str, value: float | None) -> str:
    """A figure as its measure is read: recall in percent, the others from 0 to 1."""
    return decimal(value, 3) if name.startswith(("mrr", "ndcg")) else percent(value)


def figure_span(name: str, figure: Figure) -> str:
    """Its interval; empty where there is none."""
    if not name.startswith(("mrr", "ndcg")) or figure.low is None or figure.high is None:
        return span(figure)
    return f"{decimal(figure.low, 3)} to {decimal(figure.high, 3)}"


def search_grid(report: RetrievalReport) -> Grid:
    """A line for each way of searching, a column for each measure."""
    heads = tuple((measure_head(name), "") for name in report.measures)
    found = [report.of(way) for way in WAYS]
    lines = tuple(Line(NAMES[one.way], ROLES[one.way], _cells(report, one)) for one in found if one is not None)
    return Grid("search", heads, lines)


def kind_grid(report: RetrievalReport) -> Grid | None:
    """A line for each kind of question, for each way the measures of BY_KIND; None where there is one kind."""
    kinds = list(dict.fromkeys(one.kind for one in report.scores if one.kind))
    if not kinds:
        return None
    heads = [("Questions", ""), *((f"{measure_head(name)}, {way}", ROLES[way]) for name in BY_KIND for way in WAYS)]
    lines = []
    for kind in kinds:
        scores = {way: report.of(way, kind) for way in WAYS}
        ours = scores["hybrid"]
        assert ours is not None, "the recipe's own way is scored on every kind"
        cells = [Cell(figure_text(name, _value(scores[way], name))) for name in BY_KIND for way in WAYS]
        lines.append(Line(kind, "", (Cell(f"{ours.questions:,}"), *cells, Cell(percent(_value(ours, "refused"))))))
    return Grid("kind of question", (*heads, ("Refused", "")), tuple(lines))


def _value(scores: KindScores | None, name: str) -> float | None:
    return None if scores is None or name not in scores.figures else scores.figures[name].value


def answer_grid(report: RetrievalReport) -> Grid | None:
    """A line for each measure, a column for answers with retrieval and without; None where nobody was asked."""
    if not report.answers:
        return None
    lines = [
        Line(head, "", tuple(_answer_cell(one, name) for one in report.answers))
        for name, (head, _) in ANSWERS.items()
        if any(name in one.figures for one in report.answers)
    ]
    plain = {
        "The model wrote nothing of use": [f"{one.silent:,}" if one.prompt_tokens else NONE for one in report.answers],
        "Invented citations taken out": [f"{one.invented:,}" for one in report.answers],
        "Links and markup taken out": [f"{one.stripped:,}" for one in report.answers],
        "Seconds to answer, median": [decimal(one.seconds_median, 2) for one in report.answers],
        "Seconds to answer, p95": [decimal(one.seconds_p95, 2) for one in report.answers],
        "Tokens in": [_tokens(one.prompt_tokens) for one in report.answers],
        "Tokens out": [_tokens(one.completion_tokens) for one in report.answers],
        "USD per 1k": [usd(one.usd_per_1000) for one in report.answers],
        "Answers of questions": [f"{one.answered:,} of {one.questions:,}" for one in report.answers],
    }
    lines += [
        Line(head, "", tuple(Cell(text) for text in texts)) for head, texts in plain.items() if set(texts) != {NONE}
    ]
    roles = ("student", "base")
    heads = tuple((one.name, role) for one, role in zip(report.answers, roles, strict=False))
    return Grid("assistant", heads, tuple(lines))


def _cells(report: RetrievalReport, one: KindScores) -> tuple[Cell, ...]:
    figures = [(name, one.figures[name]) for name in report.measures]
    return tuple(Cell(figure_text(name, figure.value), interval=figure_span(name, figure)) for name, figure in figures)


def _answer_cell(one: AnswerScores, name: str) -> Cell:
    figure = one.figures.get(name)
    return Cell(NONE) if figure is None else Cell(percent(figure.value), interval=span(figure))


def _tokens(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"

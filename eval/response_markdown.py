"""report.md of generated answers: the comparison as plain Markdown, for a terminal or a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from eval import numbers
from eval.markdown import funnel_table, glossary_list, markdown_table
from eval.measures import MEASURES, paired_head
from eval.response_table import meaning, response_cell, response_grid, shown_metrics
from eval.responses import (
    JudgeReport,
    ResponseComparison,
    ResponseExample,
    ResponsePair,
    ResponseScores,
    SeedFigures,
)
from recipes.counts import counted

LONGEST = 600
"""Characters of an answer that an example shows."""


def response_markdown(comparison: ResponseComparison) -> str:
    """The whole report."""
    head, *scores = response_grid(comparison).texts()
    parts = [f"# {comparison.recipe}", comparison.about]
    parts += [verdict.text() for verdict in comparison.verdicts]
    parts += [f"> {warning}" for warning in comparison.warnings]
    parts += [f"## Scores on {counted(comparison.rows, 'question')}", markdown_table(head, scores)]
    if comparison.pairs:
        parts += ["## Pairs", _pairs(comparison.pairs)]
    if comparison.judge is not None:
        parts += [f"## Judged by {comparison.judge.model}", _judge(comparison.judge)]
    if comparison.examples:
        parts += ["## Examples", *(_example(one) for one in comparison.examples)]
    parts += ["## Rows", funnel_table(comparison.funnel, asked_as(comparison))]
    parts.append(glossary_list([meaning(name) for name in shown_metrics(comparison)]))
    measured = f"Tokens/s on {comparison.machine}; " if comparison.machine else ""
    parts.append(f"{measured}tutelage {comparison.version}, {comparison.made}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def asked_as(comparison: ResponseComparison) -> str:
    """What the examples that were not set aside are called: where the responses are the source's, nobody is asked."""
    return "asked" if comparison.reference == "teacher" else "taken"


def _pairs(pairs: Sequence[ResponsePair]) -> str:
    head = ["pair", "measure", "rows", "difference", "interval", "test", "p", "Holm's p"]
    rows = []
    for pair in pairs:
        change = numbers.measure_change(pair.difference.value or 0.0, pair.measure)
        ends = numbers.measure_changes(pair.difference, pair.measure)
        p_values = [numbers.p_text(p).removeprefix("= ") for p in (pair.p, pair.p_holm)]
        found = [paired_head(pair.measure), f"{pair.rows:,}", change, ends, pair.test]
        rows.append([f"{pair.first} - {pair.second}", *found, *p_values])
    return markdown_table(head, rows)


def _judge(judge: JudgeReport) -> str:
    head = ["pair", "rows", "won", "lost", "tied", "flipped", "win rate", "words", "no verdict", "Holm's p"]
    rows = []
    for one in judge.judged:
        words = numbers.NONE if one.words is None else f"{one.words[0]:.0f} / {one.words[1]:.0f}"
        counts = [f"{count:,}" for count in (one.rows, one.wins, one.losses, one.ties, one.flips)]
        unscored = f"{sum(one.unscored.values()):,}"
        p_value = numbers.p_text(one.p_holm).removeprefix("= ")
        pair = f"{one.student} - {one.other}"
        rows.append([pair, *counts, numbers.percent(one.win_rate.value), words, unscored, p_value])
    return markdown_table(head, rows)


def _example(one: ResponseExample) -> str:
    said = [*one.history, one.question]
    rows = [[answer.model, _short(answer.response) or "(no response)"] for answer in one.answers]
    return markdown_table(["", _short("\n".join(said))], rows)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def response_section(comparison: ResponseComparison, model: ResponseScores, seed: SeedFigures) -> str:
    """The scores of one seed of a student, for its model card: beside the teacher's and its base's."""
    bases = {pair.second for pair in comparison.pairs if pair.family == "base" and pair.first == model.name}
    others = [one for one in comparison.models if one.role == "teacher" or one.name in bases]
    names = [one.name for one in others]
    head = ["", f"seed {seed.seed}"] + (["mean of all seeds"] if len(model.seeds) > 1 else []) + names
    lines = []
    for metric in shown_metrics(comparison):
        if metric in MEASURES:
            own = [numbers.measure_text(seed.figures.get(metric), metric)]
            own += [response_cell(model, metric).line()] if len(model.seeds) > 1 else []
            lines.append([meaning(metric)[0], *own, *(response_cell(one, metric).main for one in others)])
    said = [one.text() for one in comparison.verdicts if one.claim.startswith(f"{model.name} ")] if seed.chosen else []
    whose = "teacher's" if comparison.reference == "teacher" else "reference"
    told = (
        f"On {comparison.rows:,} test questions that no student was trained or chosen on. Closeness (ROUGE-L, chrF, "
        f"loss) is to the {whose} responses."
    )
    return "\n\n".join(["## Scores", told, markdown_table(head, lines), *said])

"""report.md: the comparison as plain Markdown, for a terminal, a pull request or a model card."""

from __future__ import annotations

from collections.abc import Sequence

from eval import numbers
from eval.comparison import Comparison, Funnel, ModelScores, Pair
from eval.label_agreement import APPLIES
from eval.slice_tables import label_grid, slice_tables
from eval.table import columns, grid
from recipes.counts import counted

PAIRS = (
    "p: exact McNemar. Holm's correction is over the pairs of a kind: students beside the teacher; students beside one "
    "another and the baselines; pairs without a student."
)


def markdown(comparison: Comparison) -> str:
    """The whole report."""
    parts = [f"# {comparison.recipe}", comparison.about]
    parts += [verdict.text() for verdict in comparison.verdicts]
    parts += [f"> {warning}" for warning in comparison.warnings]
    head, *scores = grid(comparison).texts()
    parts += [f"## Scores on {counted(comparison.rows, 'row')}", markdown_table(head, scores)]
    parts += [*_slices(comparison), *_label_agreement(comparison)]
    if comparison.pairs:
        parts += ["## Pairs", PAIRS, _pairs(comparison.pairs)]
    if comparison.gold_rows:
        parts += ["## Labels", _labels(comparison.models)]
    parts += ["## Rows", funnel_table(comparison.funnel)]
    parts.append(glossary_list([(column.head, column.meaning) for column in columns(comparison)]))
    measured = f"Rows/s on {comparison.machine}; " if comparison.machine else ""
    parts.append(f"{measured}tutelage {comparison.version}, {comparison.made}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def glossary_list(words: Sequence[tuple[str, str]]) -> str:
    """What the figures are, a line for each."""
    return "## What the figures are\n\n" + "\n".join(f"- {head}: {meaning}." for head, meaning in words)


def markdown_table(head: list[str], rows: Sequence[list[str]]) -> str:
    """A table of Markdown; bars, tags, links, images and line breaks in cells are made harmless."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """A cell's text as it stands. A backslash comes first: one before a bar would take ours for its own."""
    for sign in ("\\", "|", "[", "!"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.replace("<", "&lt;").split())


def _slices(comparison: Comparison) -> list[str]:
    """The tables by slice, each under its heading."""
    parts = []
    for one in slice_tables(comparison):
        for title, table in one.tables:
            head, *lines = table.texts()
            parts += [f"## {title} by {_cell(one.column)}", markdown_table(head, lines)]
    return parts


def _label_agreement(comparison: Comparison) -> list[str]:
    if not comparison.label_agreement:
        return []
    head, *lines = label_grid(comparison.label_agreement).texts()
    told = f"A label is said to apply from a probability of {APPLIES:g}; F1 takes the teacher for right."
    return ["## Label by label", told, markdown_table(head, lines)]


def _pairs(pairs: Sequence[Pair]) -> str:
    head = ["pair", "rows", "difference, points", "interval", "only first right", "only second right", "p", "Holm's p"]
    rows = []
    for pair in pairs:
        found = [f"{pair.rows:,}", numbers.points(pair.difference.value or 0), numbers.points_span(pair.difference)]
        p_values = [numbers.p_text(p).removeprefix("= ") for p in (pair.p, pair.p_holm)]
        rows.append([f"{pair.first} - {pair.second}", *found, str(pair.only_first), str(pair.only_second), *p_values])
    return markdown_table(head, rows)


def _labels(models: Sequence[ModelScores]) -> str:
    rows = []
    for model in models:
        for one in model.classes:
            shares = [numbers.percent(share) for share in (one.precision, one.recall, one.f1)]
            rows.append([model.name, one.label, *shares, f"{one.support:,}"])
    return markdown_table(["model", "label", "precision", "recall", "F1", "rows"], rows)


def funnel_table(funnel: Funnel, asked: str = "asked") -> str:
    """What became of every example. asked: what those that were not set aside are called."""
    rows = [["not drawn", f"{funnel.not_drawn:,}"]] if funnel.not_drawn else []
    rows += [[f"set aside, {reason}", f"{count:,}"] for reason, count in funnel.set_aside.items()]
    rows += [[asked, f"{funnel.asked:,}"]]
    rows += [[f"kept, {split}", f"{count:,}"] for split, count in funnel.kept.items()]
    rows += [[f"rejected, {reason}", f"{count:,}"] for reason, count in funnel.rejected.items()]
    return markdown_table(["", "rows"], rows)

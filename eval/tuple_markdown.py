"""report.md of seq2seq students: the comparison as plain Markdown, for a terminal, a pull request or a model card."""

from __future__ import annotations

from collections.abc import Sequence

from eval import numbers
from eval.comparison import Figure
from eval.markdown import funnel_table, glossary_list, markdown_table
from eval.tuple_comparison import ALL, SetPart, TupleComparison, TupleExample, TuplePair
from eval.tuple_measures import MEASURES, TASKS
from eval.tuple_rows import OWN
from eval.tuple_table import figure_cell, glossary, seed_grid, set_grid, share_grid, slice_grid, slice_words
from recipes.counts import counted

PAIRS = (
    "p: paired bootstrap over texts. Holm's correction is over the pairs that ask one thing: with and without "
    "distillation on all datasets; else students beside one another, or beside the baselines, on one dataset in one "
    "measure."
)


def tuple_markdown(comparison: TupleComparison) -> str:
    """The whole report."""
    parts = [f"# {comparison.recipe}", comparison.about]
    parts += [verdict.text() for verdict in comparison.verdicts]
    parts += [f"> {warning}" for warning in comparison.warnings]
    for one in comparison.sets:
        parts += _set(comparison, one)
    if comparison.pairs:
        parts += ["## Pairs", PAIRS, _pairs(comparison.pairs)]
    if comparison.examples:
        parts += ["## Examples", *(_example(one) for one in comparison.examples)]
    for dataset, funnel in comparison.funnels.items():
        parts += [f"## Rows of {dataset}", funnel_table(funnel, asked_as(comparison, dataset))]
    parts += [glossary_list(glossary(comparison))]
    measured = f"Seconds measured on {comparison.machine}; " if comparison.machine else ""
    parts.append(f"{measured}tutelage {comparison.version}, {comparison.made}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def asked_as(comparison: TupleComparison, dataset: str) -> str:
    """What the examples that were not set aside are called: asked where a teacher wrote their rows, else taken."""
    part = next(one for one in comparison.sets if one.dataset == dataset)
    return "asked" if part.task == "understanding" and comparison.teacher else "taken"


def _set(comparison: TupleComparison, one: SetPart) -> list[str]:
    head, *scores = set_grid(comparison, one.dataset).texts()
    gold = f", {counted(one.gold, 'gold tuple')}" if one.task in ("atsa", "acsa") else ""
    parts = [
        f"## {one.dataset}: {counted(one.rows, 'test row')}{gold}",
        f"{TASKS[one.task]}.",
        markdown_table(head, scores),
    ]
    slices = slice_grid(comparison, one)
    if slices is not None:
        head, *lines = slices.texts()
        parts += [markdown_table(head, lines), slice_words(slices)]
    shares = share_grid(comparison, one.dataset)
    if shares is not None:
        head, *lines = shares.texts()
        parts += ["### By the share of the train rows", markdown_table(head, lines)]
    head, *lines = seed_grid(comparison, one.dataset).texts()
    return [*parts, "### Each seed", markdown_table(head, lines)] if lines else parts


def _pairs(pairs: Sequence[TuplePair]) -> str:
    head = ["pair", "dataset", "measure", "seeds", "rows", "difference, points", "interval", "p", "Holm's p"]
    rows = []
    for pair in pairs:
        found = [pair.dataset, MEASURES[pair.measure].head, str(len(pair.seeds)), f"{pair.rows:,}"]
        found += [numbers.points(pair.difference.value or 0.0), numbers.points_span(pair.difference)]
        p_values = [numbers.p_text(p).removeprefix("= ") for p in (pair.p, pair.p_holm)]
        rows.append([f"{pair.first} - {pair.second}", *found, *p_values])
    return markdown_table(head, rows)


def _example(one: TupleExample) -> str:
    rows = [["teacher" if one.dataset == OWN else "gold", "; ".join(one.gold) or "nothing", "", ""]]
    for answer in one.answers:
        invalid = f" (+ {answer.invalid} invalid)" if answer.invalid else ""
        told = [["; ".join(answer.right), "; ".join(answer.wrong) + invalid, "; ".join(answer.missed)]]
        rows += [[answer.model, *cells] for cells in told]
    return markdown_table([one.text, "right", "wrong", "missed"], rows)


def _which_rows(comparison: TupleComparison, name: str) -> str:
    """Whether a student has read test rows before, of its own or of what it began with."""
    sets = {one.dataset: one.rows for one in comparison.sets}
    met = [one for one in comparison.models if one.name == name and one.met]
    if not met:
        return "On test rows that it was neither trained nor chosen on, nor was a student that it began with."
    found = " and ".join(f"{one.met:,} of {counted(sets[one.dataset], 'test row')} of {one.dataset}" for one in met)
    whose = "It, or a student that it began with, was trained or chosen on the texts of"
    return f"{whose} {found}: that may flatter it there."


def tuple_section(comparison: TupleComparison, name: str, seed: int, chosen: bool) -> str:
    """The scores of one seed of a student, for its model card: on each dataset that it answered, and each slice."""
    parts = ["## Scores", _which_rows(comparison, name)]
    for result in (one for one in comparison.results if one.model == name and one.slice == ALL):
        by = next((one for one in result.seeds if one.seed == seed), None)
        if by is None:
            continue
        names = [measure for measure in MEASURES if measure in by.figures]
        others = [one for one in comparison.of(result.dataset) if one.seeds[0].seed is None]
        lines = []
        for slices in (one for one in comparison.results if (one.model, one.dataset) == (name, result.dataset)):
            own = next(one for one in slices.seeds if one.seed == seed)
            cells = [figure_cell(Figure(value=own.figures.get(measure)), measure).main for measure in names]
            lines.append([f"{slices.slice}, {counted(slices.rows, 'row')}", *cells])
        lines += [[one.model, *(figure_cell(one.figure(measure), measure).main for measure in names)] for one in others]
        head = [f"{result.dataset}, seed {seed}", *(MEASURES[measure].head for measure in names)]
        parts.append(markdown_table(head, lines))
    said = [one.text() for one in comparison.verdicts if one.claim.startswith((f"{name} ", f"{name}:"))]
    return "\n\n".join([*parts, *(said if chosen else [])])

"""Measured scores on a student's model card: a section people read, and the model-index that the Hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eval.comparison import Comparison, ModelScores, SeedScore
from eval.markdown import markdown_table
from eval.numbers import percent, span
from eval.response_markdown import response_section
from eval.responses import ResponseComparison, ResponseScores, SeedFigures
from eval.table import share_cell
from eval.tuple_comparison import ALL, TupleComparison
from eval.tuple_markdown import tuple_section
from recipes.console import say
from recipes.counts import counted
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe, Source

START, END = "<!-- scores: written by python -m eval -->", "<!-- end of scores -->"


@dataclass(frozen=True)
class Scores:
    """What goes on a card. measured: (the Hub's name of the metric, ours, value) of each figure of its head."""

    task: str
    measured: Sequence[tuple[str, str, float | None]]
    section: str


def update_cards(recipe: Recipe, run: RunFolder, comparison: Comparison | ResponseComparison | TupleComparison) -> None:
    """Put the scores on every card of every student compared: each seed's own, and the chosen seed's on the student's.

    A card that was deleted, or whose head is no YAML any more, is left as it is.
    """
    found = _found_tuples(recipe, comparison) if isinstance(comparison, TupleComparison) else _found(comparison)
    for name, seed, chosen, scores in found:
        for folder in [run.student(name, seed)] + ([run.student(name)] if chosen else []):
            _update(folder / "README.md", recipe, name, scores)


def _found(comparison: Comparison | ResponseComparison) -> Iterator[tuple[str, int, bool, Scores]]:
    """(student, seed, whether validation chose it, what goes on its card)."""
    if isinstance(comparison, ResponseComparison):
        for one in comparison.models:
            yield from ((one.name, by.seed, by.chosen, response_scores(comparison, one, by)) for by in one.seeds)
    else:
        for model in comparison.models:
            yield from ((model.name, by.seed, by.chosen, _scores(comparison, model, by)) for by in model.seeds)


def _found_tuples(recipe: Recipe, comparison: TupleComparison) -> Iterator[tuple[str, int, bool, Scores]]:
    """The same of seq2seq students; the head has the figures of the rows that a student learnt, not of other sets."""
    for name in dict.fromkeys(one.name for one in comparison.models if one.role == "student"):
        model = next(one for one in comparison.models if one.name == name)
        result = comparison.result(model.dataset, ALL, name)
        for by in () if result is None else result.seeds:
            if by.seed is not None:
                chosen = by.seed == model.best_seed
                measured = (
                    ("f1", f"Micro F1, {model.dataset}", by.figures.get("f1")),
                    ("f1", f"Strict micro F1 (invalid counted as wrong), {model.dataset}", by.figures.get("f1_strict")),
                    ("rouge", f"ROUGE-L of rewrites, {model.dataset}", by.figures.get("rouge_l")),
                )
                section = tuple_section(comparison, name, by.seed, chosen)
                yield name, by.seed, chosen, Scores("text2text-generation", measured, section)


def _scores(comparison: Comparison, model: ModelScores, seed: SeedScore) -> Scores:
    measured = (("accuracy", "Accuracy", seed.accuracy), ("f1", "Macro F1", seed.macro_f1))
    return Scores("text-classification", measured, _section(comparison, model, seed))


def response_scores(comparison: ResponseComparison, model: ResponseScores, seed: SeedFigures) -> Scores:
    """What goes on the card of one seed of a generative student."""
    figures = seed.figures
    measured = (
        ("rouge", "ROUGE-L with the held-out responses", figures.get("rouge_l")),
        ("chrf", "chrF with the held-out responses", figures.get("chrf")),
        ("perplexity", "Perplexity of the held-out responses", figures.get("perplexity")),
    )
    return Scores("text-generation", measured, response_section(comparison, model, seed))


def _update(path: Path, recipe: Recipe, name: str, scores: Scores) -> None:
    if not path.exists():
        return
    before = path.read_text(encoding="utf-8")
    try:
        text = scored_card(before, recipe, name, scores)
    except (ValueError, yaml.YAMLError):
        say(f"{path}: its head is not valid YAML; the scores are not put on it")
        return
    if text != before:
        write_atomic(path, text.encode())


def scored_card(text: str, recipe: Recipe, name: str, scores: Scores) -> str:
    """A card with one seed's scores in place of those that were there. Raises ValueError for a broken head."""
    from huggingface_hub import EvalResult, ModelCard

    card = ModelCard(_without_scores(text))
    source = _source(recipe, name)
    results = [
        EvalResult(
            task_type=scores.task,
            dataset_type=source.hub or recipe.name,
            dataset_name=source.hub or getattr(recipe.students.get(name), "data", None) or recipe.name,
            dataset_config=source.config,
            dataset_revision=source.revision,
            dataset_split=source.test_split or "test",
            metric_type=metric,
            metric_name=shown,
            metric_value=round(value, 4),
        )
        for metric, shown, value in scores.measured
        if value is not None
    ]
    head: Any = card.data
    head.eval_results = results or None
    head.model_name = f"{recipe.name}-{name}" if results else None
    card.text = f"{card.text.rstrip()}\n\n{START}\n\n{scores.section}\n\n{END}\n"
    return str(card)


def _without_scores(text: str) -> str:
    """A card without what was put on it before. It is the user's own file: of any length, marks without an end too."""
    kept, at = [], 0
    while (start := text.find(START, at)) >= 0 and (end := text.find(END, start)) >= 0:
        kept.append(text[at:start].rstrip("\n"))
        at = end + len(END)
        while text.startswith("\n", at):
            at += 1
    return "\n\n".join([*kept, text[at:]])


def _source(recipe: Recipe, name: str) -> Source:
    """Where the rows come from that a student learnt."""
    data = getattr(recipe.students.get(name), "data", None)
    return recipe.source if data is None else recipe.datasets[data].source


def _section(comparison: Comparison, model: ModelScores, seed: SeedScore) -> str:
    names = [one.name for one in comparison.models if one.role != "student"]
    head = ["", f"seed {seed.seed}"] + (["mean of all seeds"] if len(model.seeds) > 1 else []) + names
    lines = []
    for name in ("accuracy", "macro_f1", "agreement"):
        own = [percent(getattr(seed, name))]
        if len(model.seeds) > 1:
            figure = getattr(model, name)
            own.append(percent(figure.value) + f" ±{100 * (figure.deviation or 0):.1f} ({span(figure)})")
        others = [percent(getattr(comparison.model(other), name).value) for other in names]
        lines.append([name.replace("_", " ").replace("f1", "F1"), *own, *others])
    said = [verdict.text() for verdict in comparison.verdicts if verdict.claim.startswith(f"{model.name} ")]
    rows, gold = comparison.rows, comparison.gold_rows
    have = "has" if gold == 1 else "have"
    labelled = f" {gold:,} of them {have} a human label, for accuracy and F1." if gold < rows else ""
    told = f"On {counted(rows, 'test row')} that no student was trained or chosen on; agreement is with the teacher."
    parts = ["## Scores", told + labelled, markdown_table(head, lines), *_by_slice(comparison, model)]
    parts += said if seed.chosen else []
    return "\n\n".join(parts)


def _by_slice(comparison: Comparison, model: ModelScores) -> list[str]:
    """A table for each slice column: how the student does on each language, say."""
    parts = []
    for column in comparison.slices:
        lines = []
        for part in column.slices:
            one = next(scores for scores in part.models if scores.model == model.name)
            shares = [share_cell(figure).line() for figure in (one.accuracy, one.agreement)]
            lines.append([part.value, f"{part.rows:,}", *shares])
        seeds = ", mean of all seeds" if len(model.seeds) > 1 else ""
        head = [column.column, "test rows", f"accuracy{seeds}", f"agreement{seeds}"]
        parts += [markdown_table(head, lines)] if lines else []
    return parts

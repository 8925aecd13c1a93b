"""Measured scores on a student's model card: a section people read, and the model-index that the Hub reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from eval.comparison import Comparison, ModelScores, SeedScore
from eval.markdown import markdown_table
from eval.numbers import percent, span
from recipes.console import say
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe

START, END = "<!-- scores: written by python -m eval -->", "<!-- end of scores -->"
_SECTION = re.compile(f"\n*{re.escape(START)}.*?{re.escape(END)}\n*", re.DOTALL)


def update_cards(recipe: Recipe, run: RunFolder, comparison: Comparison) -> None:
    """Put the scores on every card of every student compared: each seed's own, and the chosen seed's on the student's.

    A card that was deleted, or whose head is no YAML any more, is left as it is.
    """
    for model in comparison.models:
        for seed in model.seeds:
            folders = [run.student(model.name, seed.seed)] + ([run.student(model.name)] if seed.chosen else [])
            for folder in folders:
                _update(folder / "README.md", recipe, comparison, model, seed)


def _update(path: Path, recipe: Recipe, comparison: Comparison, model: ModelScores, seed: SeedScore) -> None:
    if not path.exists():
        return
    before = path.read_text(encoding="utf-8")
    try:
        text = scored_card(before, recipe, comparison, model, seed)
    except (ValueError, yaml.YAMLError):
        say(f"{path}: its head is not valid YAML; the scores are not put on it")
        return
    if text != before:
        write_atomic(path, text.encode())


def scored_card(text: str, recipe: Recipe, comparison: Comparison, model: ModelScores, seed: SeedScore) -> str:
    """A card with one seed's scores in place of those that were there. Raises ValueError for a broken head."""
    from huggingface_hub import EvalResult, ModelCard

    card = ModelCard(_SECTION.sub("\n\n", text))
    source = recipe.source
    measured = (("accuracy", "Accuracy", seed.accuracy), ("f1", "Macro F1", seed.macro_f1))
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=source.hub or recipe.name,
            dataset_name=source.hub or recipe.name,
            dataset_config=source.config,
            dataset_revision=source.revision,
            dataset_split=source.test_split or "test",
            metric_type=metric,
            metric_name=name,
            metric_value=round(value, 4),
        )
        for metric, name, value in measured
        if value is not None
    ]
    head: Any = card.data
    head.eval_results = results or None
    head.model_name = f"{recipe.name}-{model.name}" if results else None
    card.text = f"{card.text.rstrip()}\n\n{_section(comparison, model, seed)}\n"
    return str(card)


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
    labelled = f" {gold:,} of them have a human label, for accuracy and F1." if gold < rows else ""
    told = f"On {rows:,} test rows that no student was trained or chosen on; agreement is with the teacher.{labelled}"
    parts = [START, "## Scores", told, markdown_table(head, lines), *(said if seed.chosen else []), END]
    return "\n\n".join(parts)

"""README.md of a student: what it is, what it learnt from, how it did on its validation rows, how to use it."""

from __future__ import annotations

import yaml

from finetune.bases import Base
from finetune.card_settings import settings
from finetune.record import SeedRecord, StudentRecord
from recipes.counts import counted
from recipes.schema import Recipe


def student_card(recipe: Recipe, record: StudentRecord, base: Base, seed: SeedRecord) -> str:
    """The model card of one seed of a student, with the metadata the Hub reads."""
    head: dict[str, object] = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["tutelage", "distillation"],
    }
    if base.hub is not None:
        head["base_model"] = base.hub
    folder, every = "path/to/this/folder", ", top_k=None" if record.multi_label else ""
    lines = [
        "---", yaml.safe_dump(head, sort_keys=False).strip(), "---", "",
        f"# {recipe.name}: {record.name}", "",
        *([recipe.about, ""] if recipe.about else []),
        f"{_what(record)} Made by Tutelage.", "",
        "## Training", "", *_training(recipe, record, seed), "",
        "## Validation", "", *_validation(record, seed), "",
        "## Use", "",
        "```python", "from transformers import pipeline", "",
        f'classify = pipeline("text-classification", model="{folder}", truncation=True{every})',
        'classify("...")', "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _what(record: StudentRecord) -> str:
    labels = ", ".join(record.labels)
    if record.multi_label:
        return f"Says of each of these labels how likely it applies to a text, several may: {labels}."
    return f"Classifies a text as one of: {labels}."


def _training(recipe: Recipe, record: StudentRecord, seed: SeedRecord) -> list[str]:
    student = recipe.classifier(record.name)
    labels = "human labels" if student.rows == "gold" else f"{student.targets} labels by {recipe.teacher.model}"
    labels += ", each label learnt apart from the others (binary cross-entropy)" if record.multi_label else ""
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in record.skipped.items()) or "none"
    return [
        f"- base: `{record.base}`",
        f"- {counted(record.rows['train'], 'row')} with {labels}; {record.rows['validation']:,} to choose the epoch; "
        f"rows that could not be used: {skipped}",
        f"- human labels seen in this step: {record.human_labels:,}",
        f"- texts cut at {record.max_length} tokens: {record.truncated:,}",
        f"- seed {seed.seed}, {seed.steps:,} steps, {seed.seconds:,.0f} s on {record.device}",
        f"- {settings(record.hyperparameters)}",
    ]


def _validation(record: StudentRecord, seed: SeedRecord) -> list[str]:
    if seed.macro_f1 is None or seed.accuracy is None or record.macro_f1 is None:
        return ["No validation rows: these are the weights after the last epoch."]
    rows = f"{record.rows['validation']:,} validation rows"
    if record.multi_label:
        scored = f"macro F1 of the likeliest label {seed.macro_f1:.3f}, accuracy {seed.accuracy:.3f}"
        unit = " nats a label" if record.temperature == 1 else ""
        lowest = f"the lowest loss ({seed.validation_loss:.3f}{unit}) was that of epoch {seed.best_epoch}"
        lines = [f"On {rows} {lowest}, which is kept: {scored}."]
        over = f"loss {record.validation_loss:.3f}"
    else:
        told = f"macro F1 {seed.macro_f1:.3f}, accuracy {seed.accuracy:.3f}"
        lines = [f"On {rows}, which also chose epoch {seed.best_epoch}: {told}."]
        over = f"macro F1 {record.macro_f1:.3f}"
    if record.deviation is not None:
        lines.append(f"Over {len(record.seeds)} seeds: {over}, deviation {record.deviation:.3f}.")
    return [*lines, "Scores on held-out test rows are in the run's report."]

"""rows/README.md: the dataset card, in the Hub's form, so that `datasets.load_dataset("runs/<recipe>/rows")` works."""

from __future__ import annotations

from typing import Any

import yaml

from recipes.prompts import Prompt
from recipes.rows import SPLITS
from recipes.schema import Recipe


def dataset_card(recipe: Recipe, prompt: Prompt, facts: dict[str, Any]) -> str:
    """The card as Markdown with a YAML head. `facts` are those of the rows' manifest."""
    splits = [split for split in SPLITS if facts["rows"][split]]
    head = {
        "pretty_name": recipe.name,
        "task_categories": ["text-classification"],
        "tags": ["synthetic", "distillation", "tutelage"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.jsonl"} for split in splits],
            }
        ],
    }
    parts = [_about(recipe), _made(recipe, prompt), _counts(recipe, facts), _columns(recipe), _licence(recipe)]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n" + "\n".join(parts)


def _about(recipe: Recipe) -> str:
    about = f"{_plain(recipe.about)}\n\n" if recipe.about else ""
    return (
        f"# Rows of `{recipe.name}`\n\n{about}Texts labelled by a language model (silver labels), made with tutelage "
        f"for training a smaller model. Labels: {', '.join(map(_code, recipe.labels))}.\n"
    )


def _made(recipe: Recipe, prompt: Prompt) -> str:
    source, teacher, synthesis = recipe.source, recipe.teacher, recipe.synthesis
    where = f"Hub data set {_code(source.hub)}" if source.hub else _code(source.path or "")
    where += f", revision {_code(source.revision)}" if source.revision else ""
    test = source.test_split or source.test_path
    tested = f"; test rows from {_code(test)}" if test else ""
    drawn = f"sampling temperature {teacher.temperature:g}"
    drawn += f", top_p {teacher.top_p:g}" if teacher.top_p is not None else ""
    drawn += f", seed {teacher.seed}" if teacher.seed is not None else ""
    lines = [
        f"- Source: {where}{tested}; split with seed {source.seed}.",
        f"- Teacher: {_code(teacher.model)} ({teacher.provider}), {drawn}, up to {teacher.max_tokens} tokens a reply.",
        f"- Prompt: {_code(synthesis.prompt or 'none')}, version {prompt.version}; {synthesis.votes} "
        + ("reply per text." if synthesis.votes == 1 else "replies per text, label by strict majority."),
        f"- Soft labels from {synthesis.soft_labels}. Replies that could not be read were asked for again up to "
        f"{synthesis.reask} times, then rejected.",
        "- Exact duplicates were dropped; near duplicates (word 3-grams, Jaccard similarity from "
        f"{source.near_duplicate:g}) stand on one side of the split.",
    ]
    return "## How it was made\n\n" + "\n".join(lines) + "\n"


def _counts(recipe: Recipe, facts: dict[str, Any]) -> str:
    names = [*recipe.labels, "(tie)"] if any("(tie)" in rows for rows in facts["rows"].values()) else [*recipe.labels]
    table = ["| split | " + " | ".join(_plain(name) for name in names) + " | all |"]
    table.append("|---|" + "---:|" * (len(names) + 1))
    for split, labels in facts["rows"].items():
        counts = [labels.get(name, 0) for name in names]
        table.append(f"| {split} | " + " | ".join(str(count) for count in [*counts, sum(counts)]) + " |")
    lines = [
        "",
        f"Of {facts['read']:,} source rows {facts['not_drawn']:,} were not drawn, {facts['unfit']:,} were unfit and "
        f"{facts['asked']:,} were asked about; {facts['kept']:,} were kept and {facts['rejected']:,} rejected. "
        f"`rejects.jsonl` has each with its reason: "
        + (", ".join(f"{reason} {count:,}" for reason, count in facts["reasons"].items()) or "none")
        + ".",
    ]
    for split, (right, judged) in facts["teacher_right"].items():
        lines.append(f"Agreement with the human label on {split}: {right / judged:.1%} of {judged:,} rows.")
    return "## Counts\n\n" + "\n".join(table + lines) + "\n"


def _columns(recipe: Recipe) -> str:
    order = ", ".join(_plain(label) for label in recipe.labels)
    return (
        "## Columns\n\n"
        "`text` is the cleaned source text; `gold` the human label, where there is one; `group` is shared by near "
        "duplicates. Written by the teacher: `label` (null for a tie), `soft` (the probability of "
        f"{order}, in this order), `rationale`, `votes` (one per reply, null where it gave no answer) and "
        "`outcome` (clean or repaired). A model that reads one of these needs the teacher for every answer.\n"
    )


def _licence(recipe: Recipe) -> str:
    return (
        "## Licence\n\nThe texts keep the licence of their source; the labels and rationales fall under the terms of "
        f"the teacher {_code(recipe.teacher.model)}. Check both before publishing; none is claimed here.\n"
    )


def _plain(text: str) -> str:
    """Text that cannot break out of a Markdown line or table cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _code(text: str) -> str:
    """A name or a path as code: it cannot end the backticks around it."""
    return "`" + " ".join(text.split()).replace("`", "'") + "`"

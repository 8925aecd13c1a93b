"""rows/README.md: the dataset card, in the Hub's form, so that `datasets.load_dataset("runs/<recipe>/rows")` works."""

from __future__ import annotations

from typing import Any

import yaml

from recipes.prompts import Prompt
from recipes.rows import SPLITS
from recipes.schema import TEACHERLESS, Recipe

_WHAT = {
    "classify": "Texts labelled by a language model (silver labels)",
    "reasoning": "Questions, reasoning and responses, written by a language model about source texts",
    "description": "Titles of products, each with its description",
    "chat": "Questions and responses of conversations",
}


def dataset_card(recipe: Recipe, prompt: Prompt | None, facts: dict[str, Any]) -> str:
    """The card as Markdown with a YAML head. `facts` are those of the rows' manifest; no prompt: no teacher."""
    splits = [split for split in SPLITS if facts["rows"][split]]
    head = {
        "pretty_name": recipe.name,
        "task_categories": ["text-classification" if recipe.task == "classify" else "text-generation"],
        "tags": ["synthetic", "distillation", "tutelage"] if prompt is not None else ["tutelage"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.jsonl"} for split in splits],
            }
        ],
    }
    parts = [_about(recipe), _made(recipe, prompt), _counts(recipe, facts)]
    parts += [_columns(recipe) if recipe.task == "classify" else _response_columns(prompt), _licence(recipe, prompt)]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n" + "\n".join(parts)


def _about(recipe: Recipe) -> str:
    about = f"{_plain(recipe.about)}\n\n" if recipe.about else ""
    labels = f" Labels: {', '.join(map(_code, recipe.labels))}." if recipe.labels else ""
    return (
        f"# Rows of `{recipe.name}`\n\n{about}{_WHAT[recipe.task]}, made with tutelage for training a smaller model."
        f"{labels}\n"
    )


def _made(recipe: Recipe, prompt: Prompt | None) -> str:
    source = recipe.source
    where = f"Hub data set {_code(source.hub)}" if source.hub else _code(source.path or "")
    where += f", revision {_code(source.revision)}" if source.revision else ""
    test = source.test_split or source.test_path
    tested = f"; test rows from {_code(test)}" if test else ""
    lines = [
        f"- Source: {where}{tested}; split with seed {source.seed}.",
        *(_asked(recipe, prompt) if prompt is not None else ["- No teacher was asked."]),
        "- Exact duplicates were dropped; near duplicates (word 3-grams, Jaccard similarity from "
        f"{source.near_duplicate:g}) stand on one side of the split.",
        *([] if recipe.task == "classify" else [f"- Rows were rejected for: {_filters(recipe)}."]),
    ]
    return "## How it was made\n\n" + "\n".join(lines) + "\n"


def _asked(recipe: Recipe, prompt: Prompt) -> list[str]:
    teacher, synthesis = recipe.teacher, recipe.synthesis
    drawn = f"sampling temperature {teacher.temperature:g}"
    drawn += f", top_p {teacher.top_p:g}" if teacher.top_p is not None else ""
    drawn += f", seed {teacher.seed}" if teacher.seed is not None else ""
    each = "reply per text." if synthesis.votes == 1 else "replies per text, label by strict majority."
    soft = f"Soft labels from {synthesis.soft_labels}. " if recipe.task == "classify" else ""
    return [
        f"- Teacher: {_code(teacher.model)} ({teacher.provider}), {drawn}, up to {teacher.max_tokens} tokens a reply.",
        f"- Prompt: {_code(synthesis.prompt or 'none')}, version {prompt.version}; {synthesis.votes} {each}",
        f"- {soft}Replies that could not be read were asked for again up to {synthesis.reask} times, then rejected.",
    ]


def _filters(recipe: Recipe) -> str:
    filters, reasoning = recipe.filters, recipe.task == "reasoning"
    named = [f"a response under {filters.shortest(recipe.task)} or over {filters.max_response_chars} characters"]
    named += [f"reasoning under {filters.min_reasoning_chars} characters"] if reasoning else []
    named += ["reasoning copied from the response or the source"]
    talk = "what a model says of itself" if recipe.task == "chat" else "talk of what the reader was not shown"
    named += [talk] if filters.meta_talk else []
    named += ["numbers, quotations, codes or names that the source has not"] if filters.grounded and reasoning else []
    named += [f"a response in another language than {filters.language}"] if filters.language is not None else []
    if filters.near_duplicate is not None:
        named += [f"a response near an earlier one (similarity from {filters.near_duplicate:g})"]
    return "; ".join(named)


def _counts(recipe: Recipe, facts: dict[str, Any]) -> str:
    names = [*recipe.labels] or ["rows"]
    names += ["(tie)"] if any("(tie)" in rows for rows in facts["rows"].values()) else []
    total = ["all"] if recipe.labels else []
    table = ["| split | " + " | ".join([*map(_plain, names), *total]) + " |"]
    table.append("|---|" + "---:|" * len([*names, *total]))
    for split, labels in facts["rows"].items():
        counts = [labels.get(name, 0) for name in names]
        counts += [sum(counts)] if total else []
        table.append(f"| {split} | " + " | ".join(map(str, counts)) + " |")
    taken = "taken" if recipe.task in TEACHERLESS else "asked about"
    lines = [
        "",
        f"Of {facts['read']:,} source rows {facts['not_drawn']:,} were not drawn, {facts['unfit']:,} were unfit and "
        f"{facts['asked']:,} were {taken}; {facts['kept']:,} were kept and {facts['rejected']:,} rejected. "
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


def _response_columns(prompt: Prompt | None) -> str:
    written = " Written by the teacher: `question`, `reasoning` and `response`." if prompt is not None else ""
    return (
        "## Columns\n\n"
        "`question` is what a student is asked, after the turns of `history`, where there are any; `reasoning` and "
        "`response` are what it is to answer; `fields` holds the cleaned source text that the response is checked "
        f"against; `group` is shared by near duplicates; `outcome` is clean or repaired.{written} "
        "A model that reads `fields` needs them for every answer.\n"
    )


def _licence(recipe: Recipe, prompt: Prompt | None) -> str:
    if prompt is None:
        return "## Licence\n\nThe texts keep the licence of their source. Check it before publishing.\n"
    written = "labels and rationales fall" if recipe.task == "classify" else "questions and answers fall"
    return (
        f"## Licence\n\nThe texts keep the licence of their source; the {written} under the terms of "
        f"the teacher {_code(recipe.teacher.model)}. Check both before publishing; none is claimed here.\n"
    )


def _plain(text: str) -> str:
    """Text that cannot break out of a Markdown line or table cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _code(text: str) -> str:
    """A name or a path as code: it cannot end the backticks around it."""
    return "`" + " ".join(text.split()).replace("`", "'") + "`"

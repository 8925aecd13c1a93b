"""rows/README.md: the dataset card, in the Hub's form, so that `datasets.load_dataset("runs/<recipe>/rows")` works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recipes.local_teacher import LocalTeacher
from recipes.prompts import Prompt
from recipes.rows import SPLITS
from recipes.runs import digest, file_digest
from recipes.schema import GENERATIVE, Recipe
from synth.card_texts import COLUMNS, GIVEN, GROUP, WHAT
from synth.funnel import parts_told, tuples_told, turns_told
from synth.local_card import APART, applied_line, local_lines
from synth.markdown import code as _code
from synth.markdown import plain as _plain


def dataset_card(recipe: Recipe, prompt: Prompt | None, facts: dict[str, Any], folder: Path) -> str:
    """The card as Markdown with a YAML head. `facts` are those of the rows' manifest; no prompt: no teacher.

    folder: where the rows lie, written whole.
    """
    splits = {split: f"{split}.jsonl" for split in SPLITS if facts["rows"][split]}
    head = {
        "pretty_name": recipe.name,
        "task_categories": ["text-classification" if recipe.task == "classify" else "text-generation"],
        "tags": ["synthetic", "distillation", "tutelage"] if _is_taught(recipe, prompt) else ["tutelage"],
        "configs": [
            {
                "config_name": "default",
                "description": _description(recipe, [folder / file for file in splits.values()]),
                "data_files": [{"split": split, "path": file} for split, file in splits.items()],
            }
        ],
    }
    parts = [_about(recipe), _made(recipe, prompt, facts), _counts(recipe, facts)]
    parts += [_columns(recipe), _licence(recipe, prompt)]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n" + "\n".join(parts)


def _description(recipe: Recipe, files: list[Path]) -> str:
    """`datasets` caches a local folder by its last name and this head alone, and every run's folder is `rows`: without
    the digest it would hand out the rows of another run, or of an earlier state of this one.
    """
    return f"{recipe.name}, sha256 {digest([file_digest(file) for file in files])}"


def _about(recipe: Recipe) -> str:
    about = f"{_plain(recipe.about)}\n\n" if recipe.about else ""
    labels = f" Labels: {', '.join(map(_code, recipe.labels))}." if recipe.labels else ""
    what = WHAT[recipe.task]
    if isinstance(recipe.teacher, LocalTeacher):
        kind = "an NLI model" if recipe.teacher.provider == "zero_shot" else "an embedding model"
        what = what.replace("a language model", kind)
    return f"# Rows of `{recipe.name}`\n\n{about}{what}, made with tutelage for training a smaller model.{labels}\n"


def _made(recipe: Recipe, prompt: Prompt | None, facts: dict[str, Any]) -> str:
    source = recipe.source
    where = f"Hub data set {_code(source.hub)}" if source.hub else _code(source.path or "")
    for name, value in (("configuration", source.config), ("file", source.file), ("revision", source.revision)):
        where += f", {name} {_code(value)}" if value else ""
    test = source.test_split or source.test_path
    tested = f"; test rows from {_code(test)}" if test else ""
    lines = [
        f"- Source: {where}{tested}; split with seed {source.seed}.",
        *_written(recipe, prompt, facts),
        "- Exact duplicates were dropped; near duplicates (word 3-grams, Jaccard similarity from "
        f"{source.near_duplicate:g}) stand on one side of the split"
        + (", and so do the rows of one conversation." if recipe.task == "chat" else "."),
        *([f"- Rows were rejected for: {_filters(recipe)}."] if recipe.task in GENERATIVE else []),
    ]
    return "## How it was made\n\n" + "\n".join(lines) + "\n"


def _is_taught(recipe: Recipe, prompt: Prompt | None) -> bool:
    """Whether a teacher made the rows what they are."""
    return prompt is not None or isinstance(recipe.teacher, LocalTeacher)


def _written(recipe: Recipe, prompt: Prompt | None, facts: dict[str, Any]) -> list[str]:
    """Who wrote what a student learns, and how."""
    if isinstance(recipe.teacher, LocalTeacher):
        return local_lines(recipe.teacher, facts)
    return _asked(recipe, prompt) if prompt is not None else [GIVEN[recipe.task]]


def _asked(recipe: Recipe, prompt: Prompt) -> list[str]:
    teacher, synthesis = recipe.chat_teacher(), recipe.synthesis
    drawn = f"sampling temperature {teacher.temperature:g}"
    drawn += f", top_p {teacher.top_p:g}" if teacher.top_p is not None else ""
    drawn += f", seed {teacher.seed}" if teacher.seed is not None else ""
    each = "reply per text." if synthesis.votes == 1 else "replies per text, label by strict majority."
    soft = f"Soft labels from {synthesis.soft_labels}. " if recipe.task == "classify" else ""
    also = f" and {_code(synthesis.rewrite_prompt)}" if synthesis.rewrite_prompt else ""
    each = f"{synthesis.votes} {each}" if not also else "one reply per text to each."
    return [
        f"- Teacher: {_code(teacher.model)} ({teacher.provider}), {drawn}, up to {teacher.max_tokens} tokens a reply.",
        f"- Prompt: {_code(synthesis.prompt or 'none')}, version {prompt.version}{also}; {each}",
        f"- {soft}Replies that could not be read were asked for again up to {synthesis.reask} times, then rejected.",
    ]


def _filters(recipe: Recipe) -> str:
    filters, reasoning = recipe.filters, recipe.task == "reasoning"
    named = [f"a response under {filters.shortest(recipe.task):,} or over {filters.max_response_chars:,} characters"]
    named += [f"reasoning under {filters.min_reasoning_chars:,} characters"] if reasoning else []
    named += ["reasoning copied from the response or the source"] if recipe.task != "description" else []
    talk = "what a model says of itself" if recipe.task == "chat" else "talk of what the reader was not shown"
    named += [talk] if filters.meta_talk else []
    named += ["numbers, quotations, codes or names that the source has not"] if filters.grounded and reasoning else []
    named += [f"a response in another language than {filters.language}"] if filters.language is not None else []
    if filters.near_duplicate is not None:
        near = (
            "a question and response near earlier ones" if recipe.task == "chat" else "a response near an earlier one"
        )
        named += [f"{near} (similarity from {filters.near_duplicate:g})"]
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
    taken = "asked about" if recipe.asks() else "taken"
    reasons = ", ".join(f"{_plain(reason)} {count:,}" for reason, count in facts["reasons"].items())
    lines = [
        "",
        f"Of {facts['read']:,} source rows {facts['not_drawn']:,} were not drawn, {facts['unfit']:,} were unfit and "
        f"{facts['asked']:,} were {taken}; of these {facts['kept']:,} were kept and {facts['rejected']:,} rejected."
        + (f" `rejects.jsonl` has each that was unfit or rejected, with its reason: {reasons}." if reasons else ""),
    ]
    lines += [applied_line(facts)] if facts.get("applied") else []
    lines += [f"Of conversations, {line}." for line in turns_told(facts["turns"])]
    lines += [f"{line}." for line in (*parts_told(facts), *tuples_told(facts))]
    for split, (right, judged) in facts["teacher_right"].items():
        lines.append(f"Agreement with the human label on {split}: {right / judged:.1%} of {judged:,} rows.")
    return "## Counts\n\n" + "\n".join(table + lines) + "\n"


def _columns(recipe: Recipe) -> str:
    if recipe.task == "classify":
        order = ", ".join(_plain(label) for label in recipe.labels)
        named = ", ".join(map(_code, recipe.source.slices))
        slices = f"`slices` the values of {named}; " if named else ""
        told = (
            f"`text` is the cleaned source text; `gold` the human label, where there is one; {slices}{GROUP}. Written "
            f"by the teacher: `label` (null for a tie), `soft` (the probability of {order}, in this order), "
            "`rationale`, `votes` (one per reply, null where it gave no answer) and `outcome` (clean or repaired). "
            f"{APART if getattr(recipe.teacher, 'multi_label', False) else ''}A model that "
            "reads one of these needs the teacher for every answer."
        )
    else:
        others = sorted(set(recipe.source.fields or ()) - {"question", "reasoning", "response"})
        fields = f"`fields` holds {', '.join(map(_code, others))}." if others else "`fields` is empty."
        told = COLUMNS[recipe.task].format(fields=fields)
    return f"## Columns\n\n{told}\n"


def _licence(recipe: Recipe, prompt: Prompt | None) -> str:
    if not _is_taught(recipe, prompt):
        return "## Licence\n\nThe texts keep the licence of their source. Check it before publishing.\n"
    written = {"classify": "labels and rationales fall", "understanding": "analyses and rewrites fall"}.get(
        recipe.task, "questions and answers fall"
    )
    return (
        f"## Licence\n\nThe texts keep the licence of their source; the {written} under the terms of "
        f"the teacher {_code(recipe.teacher.model)}. Check both before publishing; none is claimed here.\n"
    )

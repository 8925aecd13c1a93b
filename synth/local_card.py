"""What the dataset card says of a teacher that ran on this machine."""

from __future__ import annotations

from typing import Any

from recipes.local_teacher import LocalTeacher
from synth.markdown import code, plain

APART = (
    "A text may have several labels: `soft` holds a probability for each by itself, they do not sum to 1, and `label` "
    "is only the likeliest. "
)
"""Of the columns, where labels do not exclude each other."""


def local_lines(teacher: LocalTeacher, facts: dict[str, Any]) -> list[str]:
    """How the labels came about. facts: those of the rows' manifest."""
    revision = f", revision {code(teacher.revision)}" if teacher.revision else ""
    were = "text was" if facts.get("cut") == 1 else "texts were"
    cut = f"; {facts['cut']:,} {were} longer and it did not see the end" if facts.get("cut") else ""
    said = "; ".join(f"{plain(label)}: {code(words)}" for label, words in facts["hypotheses"].items())
    lines = [
        f"- Teacher: {code(teacher.model)}{revision} ({teacher.where()}), no human label and no prompt. It read up to "
        f"{facts.get('most') or teacher.max_length} tokens{cut}.",
        f"- Hypotheses, one a label: {said}.",
        f"- {_soft(teacher)}, at temperature {teacher.divisor:g}; `label` is the likeliest.",
    ]
    if facts.get("mean_scores"):
        means = ", ".join(f"{plain(label)} {mean:g}" for label, mean in facts["mean_scores"].items())
        lines.append(
            "- Calibrated: each label's mean score over the train rows was taken off, as far as it was above the mean "
            f"of all ({means}), so that no label is likely by its wording alone."
        )
    return lines


def applied_line(facts: dict[str, Any]) -> str:
    """Where a text may have several labels: how many have each, which the table of counts does not say."""
    counts = ", ".join(f"{plain(label)} {count:,}" for label, count in facts["applied"].items())
    return (
        "A text may have several labels, and the table counts it under the likeliest. With a probability of 0.5 or "
        f"more, texts have: {counts}; none at all {facts['without_label']:,}."
    )


def _soft(teacher: LocalTeacher) -> str:
    if teacher.provider == "embedding":
        return "Soft labels: softmax over the labels of the cosine between text and hypothesis"
    if teacher.multi_label:
        return "Soft labels: for each label by itself, the softmax over entailment and contradiction"
    return "Soft labels: softmax over the labels of the logit that the text entails the hypothesis"

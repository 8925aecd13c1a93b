"""A teacher on this machine against the recipe's other sections: what it labels, and what has no place beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.base_kinds import is_hub_name
from recipes.documents import KeyPath
from recipes.local_teacher import LocalTeacher
from recipes.mistakes import did_you_mean
from recipes.schema import TEACHERLESS
from recipes.section import beside

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

_HAS_PLACE = frozenset({"max_text_chars"})
"""Keys of `synthesis` that mean something beside a local teacher."""
_WHY_NOT = {
    "prompt": "it is given hypotheses (teacher.hypothesis, teacher.descriptions)",
    "votes": "it says the same every time",
    "reask": "it says the same every time",
    "budget_usd": "nobody is paid",
    "soft_labels": "its labels are soft anyway",
    "min_rationale_chars": "it gives no reasons",
}


def local_mistakes(parts: Parts, teacher: LocalTeacher) -> Found:
    """Every mistake as (path, message)."""
    if parts.task is not None and parts.task != "classify" and parts.task not in TEACHERLESS:
        message = f"{teacher.provider} says how likely each label is: it goes with task: classify, not with"
        yield ("teacher", "provider"), f"{message} task: {parts.task}"
    problem = _model_problem(parts, teacher)
    if problem is not None:
        yield ("teacher", "model"), problem
    if parts.labels:
        yield from _words(parts.labels, teacher)
    for key in sorted(parts.synthesis.model_fields_set - _HAS_PLACE) if parts.synthesis is not None else ():
        why = _WHY_NOT.get(key, "it is not asked in messages")
        yield ("synthesis", key), f"has no place beside provider: {teacher.provider}: {why}"


def _model_problem(parts: Parts, teacher: LocalTeacher) -> str | None:
    """Why the model's name can be none, as far as that can be told without the network."""
    place = beside(parts.folder, teacher.model)
    if teacher.model == "minilm":
        return None
    if place.is_dir():
        return None if (place / "config.json").is_file() else f"{place} holds no config.json: no model"
    if re.match(r"[.~/\\]|[A-Za-z]:\\", teacher.model):
        return f"there is no folder {place}"
    if is_hub_name(teacher.model):
        return None
    return f"{teacher.model!r} is neither a folder here nor a name that the Hub could have"


def _words(labels: tuple[str, ...], teacher: LocalTeacher) -> Found:
    """What is said of each label must be of a label, and tell the labels apart."""
    for label in teacher.descriptions:
        if label not in labels:
            yield ("teacher", "descriptions", label), f"{label} is none of the labels; {did_you_mean(label, [*labels])}"
    said = [teacher.words(label) for label in labels]
    for place, words in enumerate(said):
        if words in said[:place]:
            other = labels[said.index(words)]
            yield ("teacher", "descriptions"), f"{other} and {labels[place]} have the same hypothesis, {words!r}"

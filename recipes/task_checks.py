"""What a recipe's task needs from its other sections, and what has no place beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.documents import KeyPath
from recipes.schema import ROW_SECTIONS, TEACHERLESS, Source, Synthesis
from recipes.students import CausalStudent

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

_NEEDS = {
    "classify": "the column that the student reads",
    "reasoning": "fields, such as {title: title, description: description}",
    "description": "fields: {title: <column>, description: <column>}",
    "chat": "messages: <column>, or fields: {question: <column>, response: <column>}",
}
_COLUMNS_OF = {
    "classify": {"text", "label", "label_names"},
    "reasoning": {"fields"},
    "description": {"fields"},
    "chat": {"fields", "messages"},
}
_PRODUCT = {"title", "description"}


def section_mistakes(parts: Parts) -> Found:
    """The sections that are missing: an assistant alone needs none of those that make rows and students."""
    made = [name for name in ROW_SECTIONS if name in parts.present]
    if not made and not parts.present.isdisjoint(("retrieval", "assistant")):
        return  # what an assistant alone lacks is told where its own sections are looked at
    why = f": {', '.join(made)} cannot stand without it, and an assistant alone has none of these sections"
    for name in ("task", "source", "students"):
        if name not in parts.present:
            yield (name,), f"is missing{why if 'retrieval' in parts.present else ''}"


def task_mistakes(parts: Parts) -> Found:
    """Every mistake as (path, message)."""
    task = parts.task
    if task is None or task not in _NEEDS:
        return
    if parts.source is not None:
        yield from _source(task, parts.source)
    if task == "classify" and parts.labels is not None and len(parts.labels) < 2:
        yield ("labels",), f"must have at least 2, has {len(parts.labels)}" if parts.labels else "is missing"
    if task != "classify" and parts.labels:
        yield ("labels",), f"labels go with task: classify, not with task: {task}"
    if task == "classify" and parts.has_filters:
        yield ("filters",), "filters go with generative tasks; for task: classify see synthesis.min_rationale_chars"
    if parts.filters is not None and parts.filters.shortest(task) > parts.filters.max_response_chars:
        yield ("filters",), "min_response_chars is above max_response_chars: no response would be kept"
    yield from _teacher(parts, task)
    yield from _students(parts, task)


def _source(task: str, source: Source) -> Found:
    if not _has_source(task, source):
        key = {"classify": "text", "chat": "messages"}.get(task, "fields")
        key, what = ("fields", "lacks one") if source.fields is not None and task != "classify" else (key, "is missing")
        yield ("source", key), f"{what}: task: {task} needs {_NEEDS[task]}"
    for key in ("text", "label", "label_names", "fields", "messages"):
        if getattr(source, key) is not None and key not in _COLUMNS_OF[task]:
            yield ("source", key), f"has no place with task: {task}, which needs {_NEEDS[task]}"
    if task == "chat" and source.messages is not None and source.fields is not None:
        yield ("source", "fields"), "name either messages or fields: both say what the question and the response are"
    columns = list((source.fields or {}).items())
    for place, (field, column) in enumerate(columns):
        other = next((name for name, same in columns[:place] if same == column), None)
        if other is not None:
            yield ("source", "fields", field), f"{field} and {other} cannot be the same column {column!r}"


def _has_source(task: str, source: Source) -> bool:
    fields = set(source.fields or ())
    if task == "classify":
        return source.text is not None
    if task == "chat":
        return source.messages is not None or {"question", "response"} <= fields
    return fields >= _PRODUCT if task == "description" else bool(fields)


def _teacher(parts: Parts, task: str) -> Found:
    asks = parts.teacher is not None and parts.teacher.provider != "none"
    if task in TEACHERLESS and asks:
        yield ("teacher",), f"task: {task} asks no teacher: its rows come from the source alone"
    if task not in TEACHERLESS and not asks and not parts.teacher_unread:
        yield ("teacher",), f"is missing: task: {task} needs one"
    if parts.synthesis is not None and not parts.local:
        yield from _synthesis(parts.synthesis, task)


def _synthesis(synthesis: Synthesis, task: str) -> Found:
    if task in TEACHERLESS:
        for key in ("prompt", "budget_usd"):
            if getattr(synthesis, key) is not None:
                yield ("synthesis", key), f"has no place with task: {task}: no teacher is asked"
        return
    if synthesis.prompt is None:
        yield ("synthesis", "prompt"), "is missing: a shipped prompt's name, or a file"
    if task == "reasoning":
        if synthesis.votes > 1:
            yield ("synthesis", "votes"), "three texts have no majority: task: reasoning has one vote"
        if synthesis.soft_labels == "logprobs":
            yield ("synthesis", "soft_labels"), "goes with task: classify: a response has no label"
        if synthesis.min_rationale_chars:
            message = "goes with task: classify; see filters.min_reasoning_chars"
            yield ("synthesis", "min_rationale_chars"), message


def _students(parts: Parts, task: str) -> Found:
    fields = set(parts.source.fields or ()) if parts.source is not None else _PRODUCT
    for name, student in parts.students.items():
        if student is None:
            continue
        if (student.kind == "classifier") != (task == "classify"):
            wanted = "classifier" if task == "classify" else "causal"
            yield ("students", name, "kind"), f"task: {task} trains students of kind: {wanted}"
        elif isinstance(student, CausalStudent) and student.rows == "description" and not fields >= _PRODUCT:
            message = "description rows need source.fields: {title: <column>, description: <column>}"
            yield ("students", name, "rows"), message

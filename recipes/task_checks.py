"""What a recipe's task needs from its other sections, and what has no place beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.documents import KeyPath
from recipes.schema import GENERATIVE, REVIEWS, ROW_SECTIONS, SENTIMENTS, TEACHERLESS, Source, Synthesis
from recipes.seq2seq_student import Seq2seqStudent
from recipes.students import CausalStudent
from recipes.tables import is_semeval

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

_NEEDS = {
    "classify": "the column that the student reads",
    "reasoning": "fields, such as {title: title, description: description}",
    "description": "fields: {title: <column>, description: <column>}",
    "chat": "messages: <column>, or fields: {question: <column>, response: <column>}",
    "understanding": "the column with the reviews",
    "atsa": "text and aspects, the columns of the sentences and of their gold tuples, or a SemEval file (.xml)",
    "acsa": "text and aspects, the columns of the sentences and of their gold tuples, or a SemEval file (.xml)",
    "sentiment": "text and label, the columns of the texts and of their gold labels",
}
_COLUMNS_OF = {
    "classify": {"text", "label", "label_names"},
    "reasoning": {"fields"},
    "description": {"fields"},
    "chat": {"fields", "messages"},
    "understanding": {"text", "analysis", "rewrite"},
    "atsa": {"text", "aspects"},
    "acsa": {"text", "aspects"},
    "sentiment": {"text", "label", "label_names"},
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
        yield from source_columns(task, parts.source)
    if task == "sentiment":
        message = "sentiment is what students are scored on, not taught: name such a source in the section datasets"
        yield ("task",), message
    if task == "classify" and parts.labels is not None and len(parts.labels) < 2:
        yield ("labels",), f"must have at least 2, has {len(parts.labels)}" if parts.labels else "is missing"
    if task != "classify" and parts.labels:
        yield ("labels",), f"labels go with task: classify, not with task: {task}"
    if task not in GENERATIVE and parts.has_filters:
        see = "; for task: classify see synthesis.min_rationale_chars" if task == "classify" else ""
        yield ("filters",), f"filters go with generative tasks{see}"
    if (
        task in GENERATIVE
        and parts.filters is not None
        and parts.filters.shortest(task) > parts.filters.max_response_chars
    ):
        yield ("filters",), "min_response_chars is above max_response_chars: no response would be kept"
    yield from _teacher(parts, task)
    yield from _students(parts, task)


def source_columns(task: str, source: Source) -> Found:
    """What a task needs of its source, and which of its settings have no place there."""
    if task in REVIEWS:
        yield from _reviews(task, source)
    elif not _has_source(task, source):
        key = {"classify": "text", "chat": "messages"}.get(task, "fields")
        key, what = ("fields", "lacks one") if source.fields is not None and task != "classify" else (key, "is missing")
        yield ("source", key), f"{what}: task: {task} needs {_NEEDS[task]}"
    for key in ("text", "label", "label_names", "fields", "messages", "aspects", "analysis", "rewrite"):
        if getattr(source, key) is not None and key not in _COLUMNS_OF[task]:
            yield ("source", key), f"has no place with task: {task}, which needs {_NEEDS[task]}"
    if task == "chat" and source.messages is not None and source.fields is not None:
        yield ("source", "fields"), "name either messages or fields: both say what the question and the response are"
    columns = list((source.fields or {}).items())
    for place, (field, column) in enumerate(columns):
        other = next((name for name, same in columns[:place] if same == column), None)
        if other is not None:
            yield ("source", "fields", field), f"{field} and {other} cannot be the same column {column!r}"


def _reviews(task: str, source: Source) -> Found:
    """The columns of texts with opinions: a SemEval file has columns of its own."""
    if is_semeval(source.path) or is_semeval(source.test_path):
        yield from _semeval(task, source)
        return
    needed = {"understanding": ("text",), "sentiment": ("text", "label")}.get(task, ("text", "aspects"))
    for key in needed:
        if getattr(source, key) is None:
            yield ("source", key), f"is missing: task: {task} needs {_NEEDS[task]}"
    for key in ("aspects", "analysis", "rewrite"):
        if getattr(source, key) is not None and getattr(source, key) == source.text:
            yield ("source", key), f"the text and its {key} cannot be the same column {source.text!r}"
    for value, label in (source.label_names or {}).items() if task == "sentiment" else ():
        if label not in SENTIMENTS:
            message = f"{label} is none of the labels {', '.join(SENTIMENTS)}"
            yield ("source", "label_names", value), message


def _semeval(task: str, source: Source) -> Found:
    if task not in ("atsa", "acsa"):
        place = "path" if is_semeval(source.path) else "test_path"
        yield ("source", place), f"a SemEval file (.xml) goes with the tasks atsa and acsa, not with task: {task}"
        return
    if source.test_path is not None and is_semeval(source.path) != is_semeval(source.test_path):
        message = "one of path and test_path is a SemEval file (.xml) and the other is not: their columns differ"
        yield ("source", "test_path"), message
    for key in ("text", "aspects", "id", "slices"):
        if getattr(source, key):
            yield ("source", key), "a SemEval file has columns of its own: leave this out"


def _has_source(task: str, source: Source) -> bool:
    fields = set(source.fields or ())
    if task == "classify":
        return source.text is not None
    if task == "chat":
        return source.messages is not None or {"question", "response"} <= fields
    return fields >= _PRODUCT if task == "description" else bool(fields)


def _teacher(parts: Parts, task: str) -> Found:
    asks = parts.teacher is not None and parts.teacher.provider != "none"
    teacherless = task in TEACHERLESS
    if teacherless and asks:
        yield ("teacher",), f"task: {task} asks no teacher: its rows come from the source alone"
    if task == "understanding" and parts.source is not None and parts.source.is_read():
        teacherless = True
        if asks:
            message = "is not asked: source.analysis and source.rewrite name what a teacher wrote before"
            yield ("teacher",), f"{message}; leave one of the two out"
    if not teacherless and not asks and not parts.teacher_unread:
        yield ("teacher",), f"is missing: task: {task} needs one"
    if parts.synthesis is not None and not parts.local:
        yield from _synthesis(parts.synthesis, task, teacherless)


def _synthesis(synthesis: Synthesis, task: str, teacherless: bool) -> Found:
    if teacherless:
        for key in ("prompt", "rewrite_prompt", "budget_usd"):
            if getattr(synthesis, key) is not None:
                yield ("synthesis", key), f"has no place with task: {task}: no teacher is asked"
        return
    if synthesis.prompt is None:
        yield ("synthesis", "prompt"), "is missing: a shipped prompt's name, or a file"
    if task == "understanding" and synthesis.rewrite_prompt is None:
        yield (
            ("synthesis", "rewrite_prompt"),
            "is missing: a shipped prompt's name, or a file (each review is read twice)",
        )
    if task != "understanding" and synthesis.rewrite_prompt is not None:
        yield ("synthesis", "rewrite_prompt"), "goes with task: understanding"
    if task in ("reasoning", "understanding"):
        if synthesis.votes > 1:
            what = "three texts have" if task == "reasoning" else "opinions and a rewrite have"
            yield ("synthesis", "votes"), f"{what} no majority: task: {task} has one vote"
        if synthesis.soft_labels == "logprobs":
            yield (
                ("synthesis", "soft_labels"),
                f"goes with task: classify: a {'response' if task == 'reasoning' else 'reading'} has no label",
            )
        if synthesis.min_rationale_chars:
            see = "; see filters.min_reasoning_chars" if task == "reasoning" else ""
            message = f"goes with task: classify{see}"
            yield ("synthesis", "min_rationale_chars"), message


def _students(parts: Parts, task: str) -> Found:
    fields = set(parts.source.fields or ()) if parts.source is not None else _PRODUCT
    for name, student in parts.students.items():
        if student is None or isinstance(student, Seq2seqStudent):
            continue  # see seq2seq_checks.py
        if task in REVIEWS:
            yield ("students", name, "kind"), f"task: {task} trains students of kind: seq2seq"
        elif (student.kind == "classifier") != (task == "classify"):
            wanted = "classifier" if task == "classify" else "causal"
            yield ("students", name, "kind"), f"task: {task} trains students of kind: {wanted}"
        elif isinstance(student, CausalStudent) and student.rows == "description" and not fields >= _PRODUCT:
            message = "description rows need source.fields: {title: <column>, description: <column>}"
            yield ("students", name, "rows"), message

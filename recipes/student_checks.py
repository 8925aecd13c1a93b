"""A recipe's students against its other sections: what they start from, and whether they can be taught its rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.backends import without_unsloth
from recipes.base_kinds import folder_problem, is_hub_name
from recipes.documents import KeyPath
from recipes.errors import SourceError
from recipes.local_teacher import LocalTeacher
from recipes.mistakes import did_you_mean
from recipes.section import beside
from recipes.seq2seq_checks import seq2seq_mistakes
from recipes.seq2seq_student import Seq2seqStudent
from recipes.students import CausalStudent, ClassifierStudent, Student
from recipes.tables import read_table, table_kind

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

_LOOKED_AT = 200
"""Conversations at the head of a file that are looked at."""


def student_mistakes(parts: Parts, name: str, student: Student) -> Found:
    """Every mistake of the section `students.<name>` as (path, message)."""
    base = student.base
    problem = None if base.startswith("students.") else _base_problem(parts.folder, student)
    if problem:
        yield ("students", name, "base"), problem
    if base.startswith("students."):
        yield from _chain(parts, name, base)
        yield from _other_kind(parts, name, student)
    if isinstance(student, ClassifierStudent):
        yield from _classifier(parts, name, student)
    elif isinstance(student, CausalStudent):
        yield from _causal(parts, name, student)
    elif isinstance(student, Seq2seqStudent):
        yield from seq2seq_mistakes(parts, name, student)


def _base_problem(folder: Path, student: Student) -> str | None:
    """Why a base that is no student of the recipe cannot be one, or None."""
    base, kind = student.base, student.kind
    if base == "minilm" and kind != "classifier":
        wanted = (
            "a causal language model" if kind == "causal" else "an encoder with a decoder, such as google-t5/t5-base"
        )
        return f"minilm is an encoder, which writes no text: name {wanted}"
    if base == "scratch" and kind == "classifier":
        return "scratch makes a model that writes text: it goes with kind: causal or seq2seq; name an encoder"
    place = beside(folder, base)
    if base in ("minilm", "scratch"):
        return None
    if place.is_dir():
        return folder_problem(kind, place)
    if re.match(r"[.~/\\]|[A-Za-z]:\\", base):
        return f"there is no folder {place}"
    return None if is_hub_name(base) else f"{base!r} is neither a folder here nor a name that the Hub could have"


def _classifier(parts: Parts, name: str, student: ClassifierStudent) -> Found:
    if student.rows == "gold":
        if parts.source is not None and parts.source.label is None:
            message = "gold needs human labels: name their column in source.label"
            yield ("students", name, "rows"), message
        if student.targets == "soft":
            yield ("students", name, "targets"), "human labels are hard: soft targets go with rows: teacher"
    if student.targets == "hard" and isinstance(parts.teacher, LocalTeacher) and parts.teacher.multi_label:
        change = "rows: teacher and targets: soft" if student.rows == "gold" else "targets: soft"
        message = "a hard label says that no other applies; to this teacher several may (multi_label: true): use"
        yield ("students", name, "rows" if student.rows == "gold" else "targets"), f"{message} {change}"
    if student.targets == "hard" and student.temperature != 1:
        yield (
            ("students", name, "temperature"),
            "softens soft labels: it goes with targets: soft",
        )


def _chain(parts: Parts, name: str, base: str) -> Found:
    """A chain of students must end at a model."""
    where = ("students", name, "base")
    chain = [name]
    while base.startswith("students."):
        other = base.removeprefix("students.")
        student = parts.students.get(other)
        if other not in parts.students and len(chain) == 1:
            others = [student for student in parts.students if student != name]
            yield where, f"there is no student {other}; {did_you_mean(other, others)}"
        if other == name:
            yield where, f"goes round in a circle: {' -> '.join([*chain, other])}; one of them must name a model"
        if student is None or other in chain:
            return
        chain.append(other)
        base = student.base


def _other_kind(parts: Parts, name: str, student: Student) -> Found:
    """A student goes on from a model of its own kind; a recipe of one kind alone is told by its task."""
    other = parts.students.get(student.base.removeprefix("students."))
    if other is not None and other.kind != student.kind and "seq2seq" in (other.kind, student.kind):
        message = (
            f"{student.base} is of kind: {other.kind}, and this is of kind: {student.kind}: name one of its own kind"
        )
        yield ("students", name, "base"), message


def _causal(parts: Parts, name: str, student: CausalStudent) -> Found:
    why_not = without_unsloth(student)
    if student.backend == "unsloth" and why_not:
        yield ("students", name, "backend"), f"unsloth cannot be used: {why_not}; set backend: auto"
    if student.lora is not None and "all-linear" in student.lora.targets:
        message = "name the layers by the end of their names (q_proj); the default is all that a Llama has"
        yield ("students", name, "lora", "targets"), f"all-linear is not known here: {message}"
    long = None if student.format == "chat" or student.rows != "task" else _long_conversation(parts)
    if long:
        message = f"{student.format} has one question and its answer; {long} holds more: use format: chat"
        yield ("students", name, "format"), message


def _long_conversation(parts: Parts) -> str | None:
    """Where the first conversation of more than one answer stands, as file:line; the heads of the files are read."""
    source = parts.source
    if source is None or source.messages is None or parts.task != "chat":
        return None
    for file in (source.path, source.test_path):
        path = None if file is None else beside(parts.folder, file)
        try:
            if path is None or table_kind(path) == ".parquet":
                continue
            for line, record in islice(read_table(path), _LOOKED_AT):
                if _answers(record.get(source.messages)) > 1:
                    return f"{path.name}:{line}"
        except SourceError:
            continue  # told of the source
    return None


def _answers(value: Any) -> int:
    """Turns of the assistant in a cell, as synth/conversations.py reads it."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return 0
    turns = [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []
    return sum(str(turn.get("role", turn.get("from"))).strip().lower() in ("assistant", "gpt") for turn in turns)

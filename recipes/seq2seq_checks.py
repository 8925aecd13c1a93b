"""A seq2seq student against its recipe: whether there are rows that it can learn, and what of its settings is of no
use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.documents import KeyPath
from recipes.mistakes import did_you_mean
from recipes.seq2seq_student import Seq2seqStudent

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]


def seq2seq_mistakes(parts: Parts, name: str, student: Seq2seqStudent) -> Found:
    """Every mistake of a section `students.<name>` of this kind as (path, message)."""
    where = ("students", name)
    if student.data is not None and student.data not in parts.datasets:
        known = list(parts.datasets)
        told = did_you_mean(student.data, known) if known else "the recipe has no section datasets"
        yield (*where, "data"), f"there is no dataset {student.data}; {told}"
        return
    task = _task(parts, student)
    if task is None:
        return
    targets = student.writes(task)
    if not targets:
        yield _no_rows(parts, name, student, task)
        return
    if task != "understanding" and "targets" in student.model_fields_set:
        yield (*where, "targets"), f"has no place here: of rows of task {task} a student writes {targets[0]}"
    for target in student.prefixes:
        if target not in targets:
            message = f"{target} is nothing that this student writes: it writes {', '.join(targets)}"
            yield (*where, "prefixes", target), message
    if student.base != "scratch" and "scratch" in student.model_fields_set:
        yield (*where, "scratch"), "goes with base: scratch"


def _task(parts: Parts, student: Seq2seqStudent) -> str | None:
    """The task of the rows that it learns, None where that section could not be read."""
    if student.data is None:
        return parts.task
    dataset = parts.datasets[student.data]
    return None if dataset is None else dataset.task


def _no_rows(parts: Parts, name: str, student: Seq2seqStudent, task: str) -> tuple[KeyPath, str]:
    if student.data is not None:
        message = f"the dataset {student.data} is of task {task}, which no student learns: it is for scoring alone"
        return ("students", name, "data"), message
    able = [known for known, dataset in parts.datasets.items() if dataset is not None and student.writes(dataset.task)]
    if able:
        return ("students", name, "data"), f"is missing: name what it learns, of the datasets {', '.join(able)}"
    message = f"kind: seq2seq learns rows of the tasks understanding, atsa and acsa, and this recipe's task is {task}"
    return ("students", name, "kind"), message

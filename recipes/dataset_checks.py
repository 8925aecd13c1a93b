"""A recipe's section `datasets`: each source as if it stood alone, and whether anybody has a use for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.documents import KeyPath
from recipes.schema import REVIEWS, SENTIMENTS
from recipes.seq2seq_student import Seq2seqStudent
from recipes.source_checks import source_mistakes
from recipes.task_checks import source_columns

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]


def dataset_mistakes(parts: Parts) -> Found:
    """Every mistake as (path, message)."""
    for name, dataset in parts.datasets.items():
        if dataset is None:
            continue
        source, labels = dataset.source, SENTIMENTS if dataset.task == "sentiment" else None
        found = [*source_columns(dataset.task, source), *source_mistakes(source, parts.folder, labels, dataset.task)]
        for where, message in found:
            yield ("datasets", name, *where), message
        yield from _use(parts, name, dataset.task)


def _use(parts: Parts, name: str, task: str) -> Found:
    """A dataset of tuples is for the student that names it; one of labels for a student that reads opinions."""
    students = [student for student in parts.students.values() if isinstance(student, Seq2seqStudent)]
    where = ("datasets", name)
    if any(student is None for student in parts.students.values()):
        return  # told of the student
    if task != "sentiment":
        if not any(student.data == name for student in students):
            yield where, f"no student learns it: write data: {name} at a student of kind: seq2seq, or leave it out"
    elif not any(student.data is None and "analysis" in student.targets for student in students):
        message = "nobody can be scored on it: that takes a student of task: understanding which writes the analysis"
        yield where, message
    elif parts.task in REVIEWS and parts.task != "understanding":
        yield where, f"the students of task: {parts.task} read no opinions: it goes with task: understanding"

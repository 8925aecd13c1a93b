"""A recipe's source against the files it names: are they there, do they have the columns, do the labels fit?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.counts import counted
from recipes.documents import KeyPath
from recipes.errors import SourceError
from recipes.label_checks import LOOKED_AT, label_mistakes
from recipes.mistakes import did_you_mean
from recipes.section import absolute
from recipes.semeval import WHERE_FROM
from recipes.source import Source
from recipes.tables import count_table, is_semeval, read_table, table_kind

Found = Iterator[tuple[KeyPath, str]]

_TEACHER_WORDS = {"reason", "reasons", "reasoning", "rationale", "rationales", "explanation", "explanations"} | {
    "justification", "cot", "thought", "thoughts", "thinking",
}  # fmt: skip
_COUNTED = 20_000
"""Rows of a file that are counted at most: a check is quick, however large the file."""


def source_mistakes(source: Source, folder: Path, labels: tuple[str, ...] | None, task: str | None = None) -> Found:
    """Every mistake of the section `source` as (path, message)."""
    for place, column in _inputs(source, task):
        if _is_teachers(column):
            message = (
                f"the column {column!r} is by its name what a teacher wrote about the text (leakage): a student that "
                "reads it needs the teacher for every answer; name the text's own column (rename it if a person wrote "
                "it)"
            )
            yield ("source", *place), message
    if source.label is not None and source.label == source.text:
        yield ("source", "label"), f"the text and its label cannot be the same column {source.text!r}"
    for value, label in (source.label_names or {}).items():
        if labels is not None and label not in labels:
            message = f"{label} is none of the labels; {did_you_mean(label, list(labels))}"
            yield ("source", "label_names", value), message
    yield from _slices(source, task)
    for setting, name in (("path", source.path), ("test_path", source.test_path)):
        if name is not None:
            yield from _file(source, ("source", setting), absolute(folder, name), labels, task)


def _slices(source: Source, task: str | None) -> Found:
    """Slices that would tell nothing, or that a student would read."""
    where: KeyPath = ("source", "slices")
    if source.slices and task in ("reasoning", "description", "chat"):
        yield where, f"scores of generated answers are not told apart by slices (task: {task}): leave it out"
    read = {column for _, column in _inputs(source, task)} | {source.messages}
    for place, column in enumerate(source.slices):
        if column in source.slices[:place]:
            yield where, f"{column!r} is named twice"
        elif column in read:
            yield where, f"students read the column {column!r}: a slice is another one, such as the text's language"
        elif column == source.label:
            yield where, f"{column!r} is the label itself, and scores by label are in every report: name another column"


def _inputs(source: Source, task: str | None) -> list[tuple[KeyPath, str]]:
    """The columns that a student reads: of a chat its question may not be a teacher's, its response may well be."""
    field = "question" if task == "chat" else "title"
    named: list[tuple[KeyPath, str | None]] = [
        (("text",), source.text),
        (("fields", field), (source.fields or {}).get(field)),
    ]
    return [(place, column) for place, column in named if column is not None]


def _is_teachers(column: str) -> bool:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)  # teacherRationale -> teacher_Rationale
    words = re.findall(r"[a-z]+", f"{column} {apart}".lower())
    return not _TEACHER_WORDS.isdisjoint(words)


def _file(source: Source, where: KeyPath, path: Path, labels: tuple[str, ...] | None, task: str | None) -> Found:
    if not path.is_file():
        whence = f"; {WHERE_FROM}" if is_semeval(path.name) else ""
        yield where, f"there is no file {path}{files_near(path)}{whence}"
        return
    try:
        if table_kind(path) == ".parquet":
            return  # its columns are looked at when it is read: pyarrow takes long to import
        head = [record for _, record in islice(read_table(path), LOOKED_AT)]
    except SourceError as error:
        yield where, str(error).split("\n", 1)[0]
        return
    if not head:
        yield where, f"{path} has no rows"
        return
    if task in ("atsa", "acsa") and is_semeval(path.name) and not any(record["aspects"] for record in head):
        none = f"none of the first {counted(len(head), 'sentence')} of {path.name} has opinions"
        yield where, f"{none}: name the file with the answers (..._Gold.xml, ....xml.gold)"
        return
    yield from _columns(source, path, list(head[0]))
    yield from _values(source, path, head)
    if source.label in head[0] and source.label != source.text and labels is not None:
        yield from label_mistakes(source, [record.get(source.label) for record in head], labels)
    yield from _enough(source, where, path, len(head))


def _enough(source: Source, where: KeyPath, path: Path, head: int) -> Found:
    """Whether a file has the rows to score on that are asked of it, and one to train on. head: rows seen so far."""
    apart = source.test_path is not None
    if apart and where[-1] == "path":
        return
    needed = (source.test or 0) + (0 if apart else 1) if source.test is not None else 1 if apart else 3
    try:
        rows = head if head < min(needed, LOOKED_AT) else count_table(path, min(needed, _COUNTED))
    except SourceError as error:
        yield where, str(error).split("\n", 1)[0]
        return
    if rows >= min(needed, _COUNTED):
        return
    if source.test is None:
        message = "is none to score on: add rows, or write test: 0 to train on all of them"
        yield where, f"{path.name} has {counted(rows, 'row')}, and a fifth of that {message}"
    else:
        left = "" if apart else ": none would be left to train on"
        yield (
            ("source", "test"),
            f"{counted(source.test, 'row')} to score on are asked for, and {path.name} has {rows:,}{left}",
        )


def _columns(source: Source, path: Path, columns: list[str]) -> Found:
    for setting, column in source.columns():
        if column not in columns:
            message = f"there is no column {column!r} in {path.name}; {did_you_mean(column, columns[:20])}"
            yield ("source", *setting.split(".")), message


def _values(source: Source, path: Path, head: list[dict[str, Any]]) -> Found:
    """Cells of which no row can come: objects where text should be, a conversation that is none."""
    for field, column in (source.fields or {}).items():
        bad = next((place for place, record in enumerate(head, 1) if not _is_text(record.get(column))), None)
        if bad is not None:
            yield ("source", "fields", field), f"row {bad} of {path.name} holds no text in {column!r}"
    if source.aspects is not None and source.aspects in head[0]:
        yield from _aspects(source.aspects, path, head)
    if source.messages is not None and source.messages in head[0]:
        problems = [_no_turns(record.get(source.messages)) for record in head if record.get(source.messages)]
        if problems and problems[0] and all(problems):  # one that is none among others is a reject of its own
            yield ("source", "messages"), f"the column {source.messages!r} of {path.name} {problems[0]}"


def _aspects(column: str, path: Path, head: list[dict[str, Any]]) -> Found:
    """Cells that hold no tuples. Empty ones pass: their rows are rejected, each with the reason."""
    where: KeyPath = ("source", "aspects")
    absent = next((place for place, record in enumerate(head, 1) if column not in record), None)
    if absent is not None:
        yield where, f"row {absent} of {path.name} has no {column!r}: write [] where a text has no tuples"
    bad = next((place for place, record in enumerate(head, 1) if not _is_list(record.get(column))), None)
    if bad is not None:
        message = f"row {bad} of {path.name} holds no list of tuples in {column!r}"
        yield where, f"{message}: [{{target, polarity, start, end}}, ...] or [{{category, polarity}}, ...]"


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    return not isinstance(value, dict)


def _is_list(value: Any) -> bool:
    """Whether a cell holds a list of objects, or JSON that may be one, or nothing."""
    if isinstance(value, list):
        return all(isinstance(part, dict) for part in value)
    return value is None or (isinstance(value, str) and value.lstrip()[:1] in ("", "["))


def _no_turns(value: Any) -> str | None:
    """Why a cell is no list of turns, as far as its first turn shows."""
    wanted = "a list of {role, content}, or of {from, value}"
    if isinstance(value, str) and value.lstrip().startswith("["):
        return None  # JSON in a cell: read when the rows are made
    if not isinstance(value, list):
        return f"holds {'an object' if isinstance(value, dict) else 'no list'}: a conversation is {wanted}"
    first = value[0] if value else None
    keys = set(first) if isinstance(first, dict) else set[str]()
    if keys & {"role", "from"} and keys & {"content", "value"}:
        return None
    return f"has turns with {', '.join(sorted(map(str, keys))) or 'no keys'}: a conversation is {wanted}"


def files_near(path: Path) -> str:
    """What is there instead: the nearest name, or the first few tables of the folder."""
    if not path.parent.is_dir():
        return f" (and no folder {path.parent})"
    there = sorted(file.name for file in path.parent.iterdir() if _is_table(file.name))[:1000]
    near = get_close_matches(path.name, there, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; tables there: {', '.join(there[:5])}" if there else "; there are no tables in that folder"


def _is_table(name: str) -> bool:
    return re.search(r"\.(jsonl|json|ndjson|csv|tsv|parquet|xml|xml\.gold)(\.gz)?$", name.lower()) is not None

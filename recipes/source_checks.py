"""A recipe's source against the files it names: are they there, do they have the columns, do the labels fit?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.documents import KeyPath
from recipes.errors import SourceError
from recipes.mistakes import did_you_mean
from recipes.schema import Source
from recipes.section import beside
from recipes.tables import read_table, table_kind

Found = Iterator[tuple[KeyPath, str]]

_TEACHER_WORDS = {"reason", "reasons", "reasoning", "rationale", "rationales", "explanation", "explanations"} | {
    "justification", "cot", "thought", "thoughts", "thinking",
}  # fmt: skip
_LOOKED_AT = 200
"""Rows at the head of a file whose labels are looked at."""


def source_mistakes(source: Source, folder: Path, labels: tuple[str, ...] | None) -> Found:
    """Every mistake of the section `source` as (path, message)."""
    if source.text is not None and _is_teachers(source.text):
        message = (
            f"the column {source.text!r} is by its name what a teacher wrote about the text (leakage): a student that "
            "reads it needs the teacher for every answer; name the text's own column (rename it if a person wrote it)"
        )
        yield ("source", "text"), message
    if source.label is not None and source.label == source.text:
        yield ("source", "label"), f"the text and its label cannot be the same column {source.text!r}"
    for value, label in (source.label_names or {}).items():
        if labels is not None and label not in labels:
            message = f"{label} is none of the labels; {did_you_mean(label, list(labels))}"
            yield ("source", "label_names", value), message
    for setting, name in (("path", source.path), ("test_path", source.test_path)):
        if name is not None:
            yield from _file(source, ("source", setting), beside(folder, name), labels)


def _is_teachers(column: str) -> bool:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)  # teacherRationale -> teacher_Rationale
    words = re.findall(r"[a-z]+", f"{column} {apart}".lower())
    return not _TEACHER_WORDS.isdisjoint(words)


def _file(source: Source, where: KeyPath, path: Path, labels: tuple[str, ...] | None) -> Found:
    if not path.is_file():
        yield where, f"there is no file {path}{_files_near(path)}"
        return
    try:
        if table_kind(path) == ".parquet":
            return  # its columns are looked at when it is read: pyarrow takes long to import
        head = [record for _, record in islice(read_table(path), _LOOKED_AT)]
    except SourceError as error:
        yield where, str(error).split("\n", 1)[0]
        return
    if not head:
        yield where, f"{path} has no rows"
        return
    yield from _columns(source, path, list(head[0]))
    if source.label in head[0] and source.label != source.text and labels is not None:
        yield from _labels(source, [record.get(source.label) for record in head], labels)


def _columns(source: Source, path: Path, columns: list[str]) -> Found:
    for setting, column in source.columns():
        if column not in columns:
            message = f"there is no column {column!r} in {path.name}; {did_you_mean(column, columns[:20])}"
            yield ("source", *setting.split(".")), message


def _labels(source: Source, values: list[Any], labels: tuple[str, ...]) -> Found:
    """A label column of which no value is a label: most often numbers that want `label_names`."""
    names = source.label_names or {}
    seen = list(dict.fromkeys(_as_text(value) for value in values if value not in (None, "")))
    known = {label.strip().casefold() for label in labels}
    if seen and not any(names.get(value, value).strip().casefold() in known for value in seen):
        shown = ", ".join(value[:30] for value in seen[:5])
        message = f"the column {source.label!r} holds {shown}, none of the labels: map them with label_names"
        yield ("source", "label"), message
        return
    mapped = {names.get(value, value).strip().casefold(): value for value in seen}
    unused = {label.strip().casefold(): label for label in labels if label.strip().casefold() not in mapped}
    for folded in [folded for folded, value in mapped.items() if folded not in known and value not in names]:
        for near in get_close_matches(folded, unused, n=1, cutoff=0.7):
            message = f"{unused[near]!r} stands nowhere at the head of the column {source.label!r}, but"
            yield ("labels",), f"{message} {mapped[folded]!r} does: is one misspelt? (source.label_names maps values)"


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _files_near(path: Path) -> str:
    """What is there instead: the nearest name, or the first few tables of the folder."""
    if not path.parent.is_dir():
        return f" (and no folder {path.parent})"
    there = sorted(file.name for file in path.parent.iterdir() if _is_table(file.name))[:1000]
    near = get_close_matches(path.name, there, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; tables there: {', '.join(there[:5])}" if there else "; there are no tables in that folder"


def _is_table(name: str) -> bool:
    return re.search(r"\.(jsonl|json|ndjson|csv|tsv|parquet)(\.gz)?$", name.lower()) is not None

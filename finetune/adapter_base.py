"""base.json: which base an adapter belongs to, at which revision, and what its files look like.

An adapter is never put on another base: peft would load it on any model of the same shape without a word.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal

from finetune.bases import Base
from finetune.course import CausalCourse
from finetune.hardware import DTYPES
from finetune.record import Record
from recipes.errors import TrainingError
from recipes.runs import digest

BASE_FILE = "base.json"
EDGE = 1 << 16
"""Bytes at each end of a weights file that its print is taken of: a whole 16 GB would take half a minute to read."""


class BaseRecord(Record):
    """Which base an adapter belongs to.

    place: Hub id, or a folder: relative to the adapter's own where both are in one run folder, else absolute.
    revision: commit on the Hub. print: of the base's files, `weights_print`; None on the Hub, where the commit says it.
    dtype: what the base was loaded and computed in.
    effect: largest change of a logit by the adapter when it was saved, as a share of the largest logit.
    """

    name: str
    place: str
    hub: bool
    revision: str | None
    print: str | None
    quantization: Literal["nf4", "none"]
    dtype: Literal["float32", "bfloat16", "float16"]
    max_length: int
    effect: float


def describe_base(model: Any, course: CausalCourse, folder: Path, effect: float) -> BaseRecord:
    """The base that a model was trained on, for its adapter in `folder`."""
    base = course.base
    student, hub = course.student, base.hub is not None
    return BaseRecord(
        name=base.name, place=base.hub or _relative(Path(base.place), folder), hub=hub,
        revision=commit(model) or base.revision, print=None if hub else weights_print(Path(base.place)),
        quantization=student.quantization, dtype=DTYPES[course.machine.precision], max_length=student.max_length,
        effect=effect,
    )  # fmt: skip


def read_base(folder: Path) -> tuple[BaseRecord, Base]:
    """base.json of an adapter's folder, and the base it names. Raises TrainingError where that is another one now."""
    try:
        record = BaseRecord.model_validate_json((folder / BASE_FILE).read_bytes())
    except (OSError, ValueError):
        raise TrainingError(f"{folder / BASE_FILE} is missing or damaged: train the student again") from None
    if record.hub:
        return record, Base(record.name, record.place, record.place, record.revision)
    place = (folder / record.place).resolve()
    if not (place / "config.json").exists():
        raise TrainingError(f"the adapter in {folder} belongs to {record.name}, which is no longer in {place}")
    if weights_print(place) != record.print:
        raise TrainingError(
            f"the adapter in {folder} belongs to another {record.name} than the one in {place} now: train it again"
        )
    return record, Base(record.name, str(place), None, None)


def weights_print(folder: Path) -> str:
    """A digest of a model folder's config, and of the size and both ends of each of its weights files."""
    sums: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(EDGE)
            file.seek(max(0, size - EDGE))
            sums[path.name] = [size, hashlib.sha256(head + file.read(EDGE)).hexdigest()]
    config = folder / "config.json"
    return digest([hashlib.sha256(config.read_bytes()).hexdigest() if config.exists() else None, sums])


def commit(model: Any) -> str | None:
    """The commit that transformers loaded from the Hub."""
    commit: str | None = getattr(model.config, "_commit_hash", None)
    return commit


def _relative(base: Path, folder: Path) -> str:
    """The base's folder as seen from the adapter's, where they share a run folder: both may be moved then."""
    here, there = folder.resolve(), base.resolve()
    students = here.parent.parent
    return os.path.relpath(there, here) if there.is_relative_to(students) else str(there)

"""Answers of a model that was stopped on the way: kept beside predictions/, so that none is generated twice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from recipes.errors import RunError
from recipes.rows import Row
from recipes.runs import digest

Line = TypeVar("Line", bound=Row)


class GrowingFile:
    """A file of answers that grows while a model answers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, kind: type[Line]) -> list[Line]:
        """The answers so far; a last line that a crash has cut is taken off. Raises RunError as `_unreadable` does."""
        if not self.path.exists():
            return []
        found: list[Line] = []
        whole, lines = 0, self.path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                found.append(kind.model_validate_json(line))
            except ValidationError:
                self._unreadable(number)
                break
            whole += len(line)
        os.truncate(self.path, whole)
        return found

    def _unreadable(self, number: int) -> None:
        """Called for a whole line that is none of ours, before it and what follows it is cut off. Raises RunError: the
        answers after it may have been paid for.
        """
        raise RunError(
            f"{self.path}: line {number:,} cannot be read: mend it, or take it out to ask for that answer again"
        )

    def add(self, lines: Sequence[Row]) -> None:
        """Write answers down; they are safe when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as out:
            out.writelines(line.model_dump_json().encode() + b"\n" for line in lines)
            out.flush()
            os.fsync(out.fileno())

    def remove(self) -> None:
        """All is answered, and stands elsewhere."""
        self.path.unlink(missing_ok=True)


class Unfinished(GrowingFile):
    """One that belongs to these inputs: others have another name."""

    def __init__(self, folder: Path, stem: str, inputs: Mapping[str, str]) -> None:
        super().__init__(folder / f"{stem}.{digest(dict(inputs))[:16]}.unfinished.jsonl")

    def _unreadable(self, number: int) -> None:
        """Nothing: lines count by their place, and what is cut off is only generated again."""

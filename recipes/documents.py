"""A YAML file as plain values, with the line of every key and the text of every scalar, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

AFTER_FILE = 1 << 30
"""The `line` of mistakes that stand in a --set argument: they are told after those of the file."""


@dataclass
class Mistake:
    """One thing that is wrong.

    where: file:line, or the --set argument. line: by which mistakes are sorted.
    kind: pydantic's name for it, where it is pydantic's. meant: the known key beside it that an unknown key is like.
    """

    where: str
    path: KeyPath
    message: str
    line: int = 0
    kind: str = ""
    meant: str = ""

    def __str__(self) -> str:
        shown = ".".join(str(part) for part in self.path)
        return f"{self.where}: {shown}: {self.message}" if shown else f"{self.where}: {self.message}"


@dataclass
class Document:
    """What a file says.

    lines: path -> line of the key (of the value, in a list). written: path -> a scalar's text as written.
    overrides: path -> the --set argument that gave it. mistakes: those of the YAML itself.
    """

    name: str
    text: str = ""
    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, path: KeyPath, message: str) -> Mistake:
        """A mistake at `path`: at its key, else at the nearest section above that there is."""
        for size in range(len(path), -1, -1):
            part = path[:size]
            if part in self.overrides:
                return Mistake(f"--set {self.overrides[part]}", path, message, AFTER_FILE)
            if part in self.lines:
                return Mistake(f"{self.name}:{self.lines[part]}", path, message, self.lines[part])
        return Mistake(f"{self.name}:1", path, message, 1)

    def override(self, argument: str, path: KeyPath, part: Document) -> None:
        """Put the value of `part` at `path`, as `--set argument` says; sections on the way are made."""
        target = self.value if isinstance(self.value, dict) else {}
        self.value = target
        for depth, key in enumerate(path[:-1], 1):
            inner = target.get(key)
            if inner is None:
                inner = target[key] = {}
                self._forget(path[:depth])
                self.overrides[path[:depth]] = argument
            if not isinstance(inner, dict):
                above = ".".join(str(part) for part in path[:depth])
                message = f"{above} holds no keys to set: give it as a whole, {above}=..."
                self.mistakes.append(Mistake(f"--set {argument}", (), message, AFTER_FILE))
                return
            target = inner
        target[path[-1]] = part.value
        self._forget(path)
        self.overrides[path] = argument
        self.written.update({path + inner: text for inner, text in part.written.items()})
        for mistake in part.mistakes:
            self.mistakes.append(Mistake(f"--set {argument}", path + mistake.path, mistake.message, AFTER_FILE))

    def _forget(self, path: KeyPath) -> None:
        """Drop what is noted of `path` and of all inside it."""
        size = len(path)
        self.lines = {where: line for where, line in self.lines.items() if where[:size] != path}
        self.written = {where: text for where, text in self.written.items() if where[:size] != path}
        self.overrides = {where: text for where, text in self.overrides.items() if where[:size] != path}

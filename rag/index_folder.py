"""Where the index of a run is: the ledger, generations of Chroma's directory, and who is in them.

A process that is killed while Chroma writes may leave files that no Chroma can read, or that crash it (chromadb 1.5.9).
So what is written is always a copy: the generation that the ledger names is whole, closed and synced, and nobody writes
to it any more. Readers stay with the generation that they opened, whatever is written meanwhile; one that nobody reads
is swept away.

Locks are small SQLite databases that hold nothing: their file locks work alike on Linux, macOS and Windows, tell
readers from writers, and die with their process.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from recipes.errors import RunError
from recipes.runs import RunFolder

_PATIENCE = 0.5
"""Seconds that a taken lock is waited for."""
_PREFIX = "chroma-"


class IndexInUse(RunError):
    """Another process writes."""


class IndexFolder:
    """A run's folder index/."""

    def __init__(self, run: RunFolder) -> None:
        self.path = run.path / "index"

    @property
    def ledger(self) -> Path:
        return self.path / "catalogue.sqlite"

    @property
    def report(self) -> Path:
        return self.path / "index.json"

    def generation(self, number: int) -> Path:
        """A directory of Chroma."""
        return self.path / f"{_PREFIX}{number}"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one who writes. Raises RunError where another does."""
        with _held(self.path / "writer.lock", alone=True) as mine:
            if not mine:
                raise IndexInUse(f"{self.path} is being written by another process: wait for it to end")
            yield

    @contextmanager
    def using(self, number: int | None) -> Iterator[None]:
        """Keep a generation from being swept away."""
        if number is None:
            yield
            return
        with _held(self._lock(number), alone=False):
            yield

    def begin(self, old: int | None, new: int) -> Path:
        """The directory of a new generation: a copy of an old one, or empty."""
        place = self.generation(new)
        shutil.rmtree(place, ignore_errors=True)  # what a killed process left
        if old is not None and self.generation(old).is_dir():
            shutil.copytree(self.generation(old), place)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def sync(self, number: int) -> None:
        """Have a generation that is written and closed on the disk for certain."""
        sync_files(self.generation(number))

    def sweep(self, keep: int | None) -> None:
        """Remove the generations but `keep`, as far as nobody reads them."""
        for place in self.path.glob(f"{_PREFIX}*"):
            number = place.name.removeprefix(_PREFIX)
            if not place.is_dir() or not number.isdecimal() or int(number) == keep:
                continue
            with _held(self._lock(int(number)), alone=True) as mine:
                if mine:
                    shutil.rmtree(place, ignore_errors=True)
            if mine:
                with suppress(OSError):
                    self._lock(int(number)).unlink()

    def _lock(self, number: int) -> Path:
        return self.path / f"{_PREFIX}{number}.lock"


def sync_files(folder: Path) -> None:
    """Have what is in a folder on the disk for certain."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


@contextmanager
def _held(lock: Path, alone: bool) -> Iterator[bool]:
    """Hold a lock, alone or with others; yields whether it is held."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(lock, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)) as base:
        try:
            base.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
            base.execute("SELECT * FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise RunError(f"{lock}: {error}") from None
            yield False
            return
        yield True

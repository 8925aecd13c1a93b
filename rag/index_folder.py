"""Where the index of a run is, and who may be in it: many that read, or one that writes. Chroma has no such lock, and
two processes of which one writes spoil its files without a word.

The lock is a small SQLite database that holds nothing: its file locks work alike on Linux, macOS and Windows, and die
with their process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipes.errors import RunError
from recipes.runs import RunFolder

_PATIENCE = 0.5
"""Seconds that a taken lock is waited for."""


class IndexFolder:
    """A run's folder index/. server: whether the vectors are on a server, which looks after its own callers."""

    def __init__(self, run: RunFolder, server: bool) -> None:
        self.path = run.path / "index"
        self._server = server

    @property
    def ledger(self) -> Path:
        return self.path / "catalogue.sqlite"

    @property
    def chroma(self) -> Path:
        return self.path / "chroma"

    @property
    def report(self) -> Path:
        return self.path / "index.json"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Be one of those who read. Raises RunError while somebody writes."""
        said = "is being written by another process (python -m rag index?): wait for it to end"
        with self._held("BEGIN", "SELECT * FROM sqlite_master", said):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one who writes. Raises RunError while anybody else is in."""
        said = (
            "is open in another process (python -m rag serve, chat or index?): end that first, "
            "or let both go to a Chroma server (retrieval.server)"
        )
        with self._held("BEGIN EXCLUSIVE", "SELECT 1", said):
            yield

    @contextmanager
    def _held(self, begin: str, look: str, said: str) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        if self._server:
            yield
            return
        lock = self.path / "writer.lock"
        base = sqlite3.connect(lock, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            try:
                base.execute(begin)
                base.execute(look).fetchall()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise RunError(f"{lock}: {error}") from None
                raise RunError(f"{self.path} {said}") from None
            yield
        finally:
            base.close()

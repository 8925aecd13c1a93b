"""Whether the index that an assistant opened is still the one of its run folder. What it finds is the operator's."""

from __future__ import annotations

from typing import Literal

from rag.index_folder import IndexFolder
from recipes.console import say
from recipes.runs import RunFolder

IndexState = Literal["current", "old", "gone"]

ADVICE: dict[IndexState, str] = {
    "old": "the index was changed since this was started: start it again to answer from it as it is now",
    "gone": "the index was removed or replaced since this was started, so nothing is answered: start it again",
}


class IndexWatch:
    """Make it before the index is opened, which keeps answering from deleted files as if nothing had happened."""

    def __init__(self, run: RunFolder) -> None:
        self._ledger, self._manifest = IndexFolder(run).ledger, run.manifest_path("index")
        self._file, self._made = self._identity(), self._time()
        self._told = False

    def state(self) -> IndexState:
        """old: it was brought up to date since, and the operator is told once. gone: it is another file, or none."""
        if self._identity() != self._file:
            return "gone"
        if self._time() in (None, self._made):
            return "current"
        if not self._told:
            self._told = True
            say(ADVICE["old"])
        return "old"

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._ledger.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino  # an open file's number is given to no other

    def _time(self) -> int | None:
        """When the index was last made, by the clock of its manifest; None while it is being made."""
        try:
            return self._manifest.stat().st_mtime_ns
        except OSError:
            return None

"""How a run is coming along, for a person: a live line in a terminal, a plain line now and then where there is none."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from recipes.console import is_terminal, say

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

LIVE_SECONDS = 0.5
PLAIN_SECONDS = 10.0
RATE_SECONDS = 30.0
"""The rate is that of the last half minute: what a run finds on record at its start says nothing about the rest."""


class Progress:
    """Counts rows and shows them while the block runs. Use as a context manager.

    total: rows that will be counted. spend: USD so far, where a price is known. `row` is told of every finished row.
    """

    def __init__(self, what: str, total: int, spend: Callable[[], float] | None = None) -> None:
        self.what = what
        self.total = total
        self.spend = spend
        self.kept = 0
        self.rejected: Counter[str] = Counter()
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._over = threading.Event()
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if is_terminal():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        self._marks[0] = (time.monotonic(), 0)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self._live is not None:
            self._live.stop()

    def row(self, reason: str | None = None) -> None:
        """A row is finished: kept, or rejected for `reason`."""
        if reason is None:
            self.kept += 1
        else:
            self.rejected[reason] += 1

    def line(self) -> str:
        """The state of now in one line."""
        rejected = dict(self.rejected.copy().most_common(4))  # another thread may add a reason now
        done = self.kept + self.rejected.total()
        rate = self._rate(time.monotonic(), done)
        parts = [f"{self.what}: {done:,} of {self.total:,}", f"{self.kept:,} kept"]
        if rejected:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items())
            parts.append(f"{self.rejected.total():,} rejected ({reasons})")
        parts.append(f"{rate:,.1f} rows/s")
        if self.spend is not None:
            parts.append(f"${self.spend():.4f}")
        return " · ".join(parts + self._to_go(rate, done))

    def _to_go(self, rate: float, done: int) -> list[str]:
        """How long the rest takes at this rate, where that can be told."""
        return [f"{_clock((self.total - done) / rate)} to go"] if rate and done < self.total else []

    def _rate(self, now: float, done: int) -> float:
        """Rows per second of late."""
        while len(self._marks) > 1 and self._marks[1][0] <= now - RATE_SECONDS:
            self._marks.popleft()
        then, had = self._marks[0]
        self._marks.append((now, done))
        return (done - had) / (now - then) if now > then else 0.0

    def _show(self) -> None:
        """Runs in a thread of its own, so that a stall is seen too. A plain line is not said twice in a row."""
        said = ""
        while not self._over.wait(LIVE_SECONDS if self._live is not None else PLAIN_SECONDS):
            if self._live is not None:
                self._live.update(_text(self.line()), refresh=True)
            elif (line := self.line()) != said:
                say(line)
                said = line


def _text(line: str) -> Text:
    from rich.text import Text

    return Text(line, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""The reply journal: everything the teacher ever answered, on disk before anything else happens with it.

An append-only file of checked JSON lines (`entries.py`). The last line about a request counts. What a crash or a bit
flip has damaged is found, skipped and said; the requests concerned are asked again. Where a reply lies in the file is
kept in a temporary database on disk, so that memory does not grow with the journal.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, TYPE_CHECKING

from recipes.chat import Reply, Usage
from recipes.console import say
from recipes.errors import RunError
from synth.entries import (
    NO_TOKENS,
    Entry,
    Failure,
    begins_like_a_line,
    checked,
    decode,
    decode_head,
    encode,
    encode_lease,
)
from synth.places import Places

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Failure", "Journal"]

_LONGEST_LINE = 1 << 26
_MOST_NAMED = 10
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_SYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # neither Windows nor macOS has fdatasync


class Journal:
    """An open reply journal. Use as a context manager; for one thread, but for `sync`.

    replies, failures, damaged: lines of each kind that were found or added. usage: tokens paid or possibly paid for,
    by this run and all runs before it. lease: what `hold` said last.
    """

    def __init__(self, path: Path, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self.replies = self.failures = self.damaged = 0
        self.usage = self.lease = NO_TOKENS
        self._end = self._written = self._synced = 0
        self._file: IO[bytes] | None = None
        self._guard: BaseFileLock | None = None
        self._syncing = Lock()
        self._places = Places()

    @classmethod
    def open(cls, path: Path, readonly: bool = False) -> Journal:
        """Open a journal, or begin one. Raises RunError where it cannot be read, is in use, or is no journal."""
        journal = cls(path, readonly)
        try:
            journal._open()
        except BaseException:
            journal.close()
            raise
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: str) -> Reply | Failure | None:
        """What came of the request. None where it must be asked, also after an earlier run's failure that passes."""
        place = self._places.get(key)
        if place is None:
            return None
        entry = self._read(*place)
        return entry.found if entry is not None and entry.key == key else None

    def put(
        self,
        key: str,
        example: str,
        found: Reply | Failure,
        *,
        sample: int = 0,
        model: str = "",
        uncertain: Usage = NO_TOKENS,
    ) -> None:
        """Remember what came of a request. It is written when this returns, and safe from a power cut after `sync`.

        Raises RunError where the disk is full; nothing written before is lost.
        """
        start = self._end
        self._append(encode(Entry(key, example, found, sample, model, int(time.time()), uncertain)))
        self._places.set(key, start, self._end - start)
        if isinstance(found, Reply):
            self.replies += 1
            self._count(found.usage)
        else:
            self.failures += 1
        self._count(uncertain)

    def hold(self, lease: Usage, uncertain: Usage = NO_TOKENS) -> None:
        """Say up to how many tokens may be billed without a line of their own: after a kill they count as paid.

        uncertain: tokens of broken-off calls to count as paid from now on.
        """
        self._append(encode_lease(lease, uncertain))
        self._count(uncertain)
        self.lease = lease

    @property
    def unsynced(self) -> int:
        """Lines written that a power cut could still take."""
        return self._written - self._synced

    def sync(self) -> None:
        """Have the operating system put everything on the disk. May be called from another thread."""
        with self._syncing:
            written = self._written
            if self._file is not None and written > self._synced:
                with _disk(self.path):
                    _SYNC(self._file.fileno())
                self._synced = written

    def close(self) -> None:
        """Sync and let go of the file."""
        try:
            self.sync()
        finally:
            self._places.close()
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._guard is not None:
                self._guard.release()

    def _open(self) -> None:
        if self.readonly and not self.path.is_file():
            raise RunError(f"{self.path}: there is no reply journal here")
        try:
            if not self.readonly:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._guard = _guard(self.path)
            self._file = self.path.open("rb" if self.readonly else "a+b", buffering=0)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be opened: {error.strerror or error}") from None
        with _disk(self.path):
            self._scan()
        if self.lease != NO_TOKENS and not self.readonly:
            lost = self.lease.prompt + self.lease.completion
            say(f"{self.path}: a run was killed; up to {lost:,} tokens that were on their way count as paid")
            self.hold(NO_TOKENS, self.lease)

    def _scan(self) -> None:
        """Index the lines, cut a torn end, and say what is damaged."""
        bad: list[int] = []
        number, alien = 0, True
        with self.path.open("rb", buffering=1 << 20) as lines:
            for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE), b""), 1):
                start, self._end = self._end, self._end + len(line)
                alien = alien and not begins_like_a_line(line)
                if not line.endswith(b"\n") and len(line) < _LONGEST_LINE and not alien:
                    line = self._mend(line, start, number)
                    if not line:
                        break
                if not self._note(line, start):
                    self.damaged += 1
                    bad.append(number)
                    del bad[_MOST_NAMED:]
        if number and alien:
            raise RunError(f"{self.path}: is no reply journal: not one of its lines begins like an entry")
        if bad:
            self._say_damaged(bad)

    def _note(self, line: bytes, start: int) -> bool:
        """Take in one line; False where it is damaged."""
        body = checked(line)
        if body is None:
            return False
        try:
            head = decode_head(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        self._count(head.usage)
        self._count(head.uncertain)
        if head.lease is not None:
            self.lease = head.lease
        elif head.key is not None:
            self.replies += head.kind == "reply"
            self.failures += head.kind != "reply"
            if head.kind in ("reply", "rejected"):  # other failures pass: the next run asks again
                self._places.set(head.key, start, len(line))
        return True

    def _mend(self, line: bytes, start: int, number: int) -> bytes:
        """A last line without its end: whole but for the end, or torn and cut off (empty)."""
        if checked(line + b"\n") is not None:
            if not self.readonly:
                self._end = start + len(line)
                self._append(b"\n")
            return line + b"\n"
        self._end = start
        if not self.readonly:
            self._cut()
        gone = "was cut off" if not self.readonly else "is not read"
        say(f"{self.path}:{number}: the last line was not written to its end (a crash, a full disk) and {gone}")
        return b""

    def _say_damaged(self, bad: list[int]) -> None:
        lines = ", ".join(str(number) for number in bad) + (" ..." if self.damaged > len(bad) else "")
        count = f"{self.damaged} damaged line" + "s" * (self.damaged > 1)
        say(f"{self.path}: {count} skipped, the requests will be asked again: line {lines}")

    def _append(self, line: bytes) -> None:
        assert self._file is not None and not self.readonly, "the journal is not open for writing"
        fd, left = self._file.fileno(), memoryview(line)
        try:
            with _disk(self.path):
                while left:  # a nearly full disk takes a part only
                    left = left[os.write(fd, left) :]
        except RunError:
            self._cut()
            raise
        self._end += len(line)
        self._written += 1

    def _cut(self) -> None:
        """Remove what stands after the last whole line."""
        assert self._file is not None
        try:
            self._file.truncate(self._end)
        except OSError:
            pass  # the torn end is found and cut when the journal is opened again

    def _read(self, start: int, length: int) -> Entry | None:
        assert self._file is not None, "the journal is closed"
        if hasattr(os, "pread"):
            line = os.pread(self._file.fileno(), length, start)
        else:
            self._file.seek(start)
            line = self._file.read(length)
        body = checked(line if line.endswith(b"\n") else line + b"\n")
        try:
            return decode(body) if body is not None else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # whole, but not of our making

    def _count(self, usage: Usage) -> None:
        if usage is not NO_TOKENS:
            have = self.usage
            self.usage = Usage(
                have.prompt + usage.prompt, have.cached + usage.cached, have.completion + usage.completion
            )


def _guard(path: Path) -> BaseFileLock:
    """Hold the journal for one writer. Raises RunError where another process has it."""
    from filelock import FileLock, Timeout

    guard = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        guard.acquire()
    except Timeout:
        raise RunError(f"{path} is being written by another process: wait for it to end") from None
    return guard


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What the operating system refuses, as one sentence."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        full = error.errno in _FULL if isinstance(error, OSError) else "full" in str(error)
        if full:
            message = "the disk is full: make room and run the same command again; nothing written so far is lost"
        else:
            message = f"cannot be used: {getattr(error, 'strerror', None) or error}"
        raise RunError(f"{path}: {message}") from None

"""The file of a journal: bytes at its end, bytes from its middle, on the disk and for one writer.

What the operating system refuses is a RunError of one sentence.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

from recipes.errors import RunError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_SYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # neither Windows nor macOS has fdatasync


class JournalFile:
    """An open file of lines. For one thread, but for `sync`.

    end: bytes up to the end of the last whole line; what comes after it is cut before anything is written.
    """

    def __init__(self, path: Path, readonly: bool) -> None:
        """Raises RunError where it cannot be opened, is not there to be read, or is being written."""
        self.path = path
        self.readonly = readonly
        self.end = 0
        self._written = self._synced = 0
        self._file: IO[bytes] | None = None
        self._guard: BaseFileLock | None = None
        self._syncing = Lock()
        if readonly and not path.is_file():
            raise RunError(f"{path}: there is no reply journal here")
        try:
            if not readonly:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._guard = _guard(path)
            self._file = path.open("rb" if readonly else "a+b", buffering=0)
        except OSError as error:
            self.close()
            raise RunError(f"{path}: cannot be opened: {error.strerror or error}") from None

    def append(self, line: bytes) -> int:
        """Write a line; returns where it begins. A line that does not fit on the disk leaves nothing behind."""
        assert self._file is not None and not self.readonly, "the journal is not open for writing"
        fd, left, start = self._file.fileno(), memoryview(line), self.end
        try:
            with disk(self.path):
                while left:  # a nearly full disk takes a part only
                    left = left[os.write(fd, left) :]
        except RunError:
            self.cut()
            raise
        self.end += len(line)
        self._written += 1
        return start

    def read(self, start: int, length: int) -> bytes:
        """The bytes of a line."""
        assert self._file is not None, "the journal is closed"
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, start)
        self._file.seek(start)
        return self._file.read(length)

    def cut(self) -> None:
        """Remove what stands after `end`."""
        assert self._file is not None
        try:
            self._file.truncate(self.end)
        except OSError:
            pass  # the torn end is found and cut when the journal is opened again

    @property
    def unsynced(self) -> int:
        """Lines written that a power cut could still take."""
        return self._written - self._synced

    def sync(self) -> None:
        """Have the operating system put everything on the disk. May be called from another thread."""
        with self._syncing:
            written = self._written
            if self._file is not None and written > self._synced:
                with disk(self.path):
                    _SYNC(self._file.fileno())
                self._synced = written

    def close(self) -> None:
        """Sync and let go of the file."""
        try:
            self.sync()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._guard is not None:
                self._guard.release()


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
def disk(path: Path) -> Iterator[None]:
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

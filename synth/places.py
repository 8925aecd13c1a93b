"""Where the last entry about each request lies in a journal, in a temporary database on disk: memory stays flat."""

from __future__ import annotations

import sqlite3

_BATCH = 1_000
_SET = "INSERT OR REPLACE INTO place VALUES (?, ?, ?)"
_GET = "SELECT start, length FROM place WHERE key = ?"


class Places:
    """sha256 (hex) -> (offset, length in bytes)."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # "": a temporary file that deletes itself
        for setting in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -2000"):
            self._base.execute(f"PRAGMA {setting}")
        self._base.execute("CREATE TABLE place (key BLOB PRIMARY KEY, start INTEGER, length INTEGER) WITHOUT ROWID")
        self._base.execute("BEGIN")
        self._waiting: dict[bytes, tuple[int, int]] = {}

    def set(self, key: str, start: int, length: int) -> None:
        """Note a place; the last one counts."""
        self._waiting[_short(key)] = start, length
        if len(self._waiting) >= _BATCH:
            self.flush()

    def get(self, key: str) -> tuple[int, int] | None:
        """The place of `key`; the reader compares the whole key."""
        short = _short(key)
        found: tuple[int, int] | None = self._waiting.get(short)
        return found or self._base.execute(_GET, (short,)).fetchone()

    def drop(self, key: str) -> None:
        """Forget the place of `key`."""
        self._waiting.pop(_short(key), None)
        self._base.execute("DELETE FROM place WHERE key = ?", (_short(key),))

    def flush(self) -> None:
        """Put what waits into the database."""
        self._base.executemany(_SET, [(key, *place) for key, place in self._waiting.items()])
        self._waiting.clear()

    def close(self) -> None:
        self._base.close()


def _short(key: str) -> bytes:
    """Half of a sha256 tells requests apart."""
    return bytes.fromhex(key[:32])

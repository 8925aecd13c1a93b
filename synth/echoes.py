"""Near duplicates in a stream: is a text near one that was kept before? What was kept lies in a temporary database."""

from __future__ import annotations

import sqlite3
from array import array

from synth.duplicates import WINDOW, bucket_hashes, similarity, sketch

_TABLES = """
CREATE TABLE kept (place INTEGER PRIMARY KEY, id TEXT, hashes BLOB, beside BLOB);
CREATE TABLE bucket (hash INTEGER, place INTEGER, PRIMARY KEY (hash, place)) WITHOUT ROWID;
"""
_MET = f"SELECT place FROM bucket WHERE hash = ? ORDER BY place DESC LIMIT {WINDOW}"  # noqa: S608
_KEPT = "SELECT id, hashes, beside FROM kept WHERE place = ?"


class Echoes:
    """Texts that were kept. Two are near when the Jaccard similarity of their word 3-grams reaches `threshold`.

    A second text may stand beside each; then two are near only where these are too.
    Of a phrase that very many texts share only the last WINDOW are looked at.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.base = sqlite3.connect("", isolation_level=None)  # "": a temporary file that deletes itself
        for setting in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -2000"):
            self.base.execute(f"PRAGMA {setting}")
        self.base.executescript(_TABLES)
        self.base.execute("BEGIN")

    def near(self, text: str, beside: str = "") -> str | None:
        """The id of a kept text that `text` is near to."""
        hashes, others = sketch(text), sketch(beside)
        met: set[int] = set()
        for at in bucket_hashes(hashes, self.threshold):
            for (place,) in self.base.execute(_MET, (at,)):
                if place not in met:
                    met.add(place)
                    name, *found = self.base.execute(_KEPT, (place,)).fetchone()
                    if self._agree(hashes, found[0]) and self._agree(others, found[1]):
                        return str(name)
        return None

    def _agree(self, hashes: array[int], kept: bytes) -> bool:
        return similarity(hashes, _hashes(kept)) >= self.threshold - 1e-9

    def keep(self, name: str, text: str, beside: str = "") -> None:
        """Remember a text, and what stands beside it, by its id."""
        hashes = sketch(text)
        values = (name, hashes.tobytes(), sketch(beside).tobytes())
        place = self.base.execute("INSERT INTO kept (id, hashes, beside) VALUES (?, ?, ?)", values).lastrowid
        rows = [(at, place) for at in bucket_hashes(hashes, self.threshold)]
        self.base.executemany("INSERT INTO bucket VALUES (?, ?)", rows)

    def close(self) -> None:
        self.base.close()


def _hashes(blob: bytes) -> array[int]:
    found = array("q")
    found.frombytes(blob)
    return found

"""The truth about the index, in one SQLite file, and how it is changed.

Whatever is to happen in the vector store is written down here in the same transaction as the documents it is about
(the tables `owed` and `doomed`), and crossed out when what has it is named as the store to read. Killed at any moment,
nothing is lost: what is still written down is done on the next open.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from rag.chunks import Chunk
from rag.documents import Document
from rag.holdings import Holdings, Vectors, named
from recipes.errors import RunError

VERSION = 1
"""Of the tables; an index of another one is made anew."""
PATIENCE = 5.0
"""Seconds that a locked file is waited for."""
_TABLES = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE document (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, text TEXT NOT NULL,
                       title TEXT NOT NULL, fields TEXT NOT NULL, metadata TEXT NOT NULL, link TEXT);
CREATE TABLE chunk (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, document INTEGER NOT NULL,
                    place INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX chunk_document ON chunk (document);
CREATE TABLE vector (number INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE owed (number INTEGER PRIMARY KEY);
CREATE TABLE doomed (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
"""
_WRITE = (
    "INSERT INTO document (id, digest, text, title, fields, metadata, link) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, text = excluded.text, title = excluded.title, "
    "fields = excluded.fields, metadata = excluded.metadata, link = excluded.link RETURNING number"
)

_NUMBERS = "SELECT number FROM document WHERE id IN (SELECT value FROM json_each(?))"
_FORGET = (
    "INSERT OR IGNORE INTO doomed (id) SELECT id FROM chunk WHERE document IN (SELECT value FROM json_each(?))",
    "DELETE FROM vector WHERE number IN (SELECT number FROM chunk WHERE document IN (SELECT value FROM json_each(?)))",
    "DELETE FROM owed WHERE number IN (SELECT number FROM chunk WHERE document IN (SELECT value FROM json_each(?)))",
    "DELETE FROM chunk WHERE document IN (SELECT value FROM json_each(?))",
)
_OWED = (
    "SELECT owed.number, id, value FROM owed JOIN chunk USING (number) JOIN vector USING (number) "
    "WHERE owed.number > ? ORDER BY owed.number LIMIT ?"
)
_OWE = "INSERT OR IGNORE INTO owed SELECT number FROM chunk WHERE id IN (SELECT value FROM json_each(?))"
_CLEAR = (
    "BEGIN; DELETE FROM fact WHERE name NOT IN ('turn', 'last generation'); "
    "UPDATE fact SET value = value + 1 WHERE name = 'turn'; DELETE FROM owed; DELETE FROM doomed; DELETE FROM vector; "
    "DELETE FROM chunk; DELETE FROM document; COMMIT; VACUUM"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to be written. chunks, vectors: None where its text, and with it both, are as before."""

    document: Document
    digest: str
    text_digest: str
    chunks: Sequence[Chunk] | None = None
    vectors: Vectors | None = None


class Ledger(Holdings):
    """Holdings that can be changed. A change is on the disk when the method that makes it returns."""

    def set_fact(self, name: str, value: Any) -> None:
        """Keep a fact about the whole index: anything that JSON holds."""
        with self._base:
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        self._base.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, orjson.dumps(value).decode()))

    def write(self, entries: Sequence[Entry]) -> None:
        """Put documents in, each whole; what was there under their ids is gone."""
        with self._base:
            for entry in entries:
                document = entry.document
                fields, metadata = orjson.dumps(document.fields).decode(), _facts(document)
                digests = (entry.digest, entry.text_digest)
                row = (document.id, *digests, document.title, fields, metadata, document.link)
                number = self._base.execute(_WRITE, row).fetchone()[0]
                if entry.chunks is not None and entry.vectors is not None:
                    self._forget_chunks([number])
                    self._write_chunks(number, entry.chunks, entry.vectors)
            self._turn(sum(entry.chunks is not None for entry in entries))

    def _write_chunks(self, document: int, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        for chunk, vector in zip(chunks, vectors, strict=True):
            row = (chunk.id, document, chunk.place, chunk.text)
            number = self._base.execute(
                "INSERT INTO chunk (id, document, place, text) VALUES (?, ?, ?, ?)", row
            ).lastrowid
            self._base.execute("INSERT INTO vector VALUES (?, ?)", (number, vector.astype(np.float32).tobytes()))
            self._base.execute("INSERT INTO owed VALUES (?)", (number,))
            self._base.execute("DELETE FROM doomed WHERE id = ?", (chunk.id,))

    def _forget_chunks(self, documents: Sequence[int]) -> None:
        chosen = orjson.dumps(list(documents)).decode()
        for statement in _FORGET:
            self._base.execute(statement, (chosen,))

    def remove(self, ids: Sequence[str]) -> None:
        """Take documents out."""
        if not ids:
            return
        with self._base:
            numbers = self._base.execute(_NUMBERS, (named(ids),)).fetchall()
            self._forget_chunks([number for (number,) in numbers])
            self._base.execute("DELETE FROM document WHERE id IN (SELECT value FROM json_each(?))", (named(ids),))
            self._turn(len(numbers))

    def clear(self) -> None:
        """Take everything out, facts too, but the numbers that folders are named for: somebody may read an old one."""
        self._base.executescript(_CLEAR)

    def _turn(self, changed: int) -> None:
        """Let what is made from the holdings see that they changed. changed: documents whose text is another now."""
        for name, more in (("turn", 1), ("since threshold", changed)):
            self._set(name, (self.fact(name) or 0) + more)

    # a pass over the catalogue: which documents it still has

    def begin_pass(self) -> None:
        """Forget what the last pass saw."""
        self._base.executescript(
            "DROP TABLE IF EXISTS temp.seen; CREATE TEMP TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID"
        )

    def see(self, ids: Sequence[str]) -> list[bool]:
        """Note ids; for each whether this pass had not seen it before."""
        with self._base:
            return [self._base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount == 1 for name in ids]

    def unseen(self) -> list[str]:
        """Ids of documents that are in and that this pass did not see."""
        rows = self._base.execute("SELECT id FROM document WHERE id NOT IN (SELECT id FROM seen) ORDER BY number")
        return [name for (name,) in rows]

    # what the vector store has yet to be told

    def doomed(self, after: int, most: int) -> list[tuple[int, str]]:
        """Chunks to be taken out of the vector store, `most` of those that were written down after number `after`."""
        chosen = "SELECT number, id FROM doomed WHERE number > ? ORDER BY number LIMIT ?"
        return self._base.execute(chosen, (after, most)).fetchall()

    def owed(self, after: int, most: int) -> tuple[list[str], Vectors, int] | None:
        """Chunks to be put into the vector store, likewise: ids, vectors, the last number. None where none are left."""
        rows = self._base.execute(_OWED, (after, most)).fetchall()
        if not rows:
            return None
        vectors = np.frombuffer(b"".join(value for _, _, value in rows), np.float32).reshape(len(rows), -1)
        return [name for _, name, _ in rows], vectors, rows[-1][0]

    def in_debt(self) -> bool:
        """Whether there is anything that the vector store has yet to be told."""
        return bool(
            self._base.execute("SELECT EXISTS (SELECT 1 FROM owed) OR EXISTS (SELECT 1 FROM doomed)").fetchone()[0]
        )

    def settle(self, generation: int | None) -> None:
        """The vector store has all that was written down. generation: of its directory, from now on."""
        with self._base:
            removed = (self.fact("removed") or 0) + self._base.execute("DELETE FROM doomed").rowcount
            self._base.execute("DELETE FROM owed")
            self._set("generation", generation)
            self._set("removed", removed)
            if generation is not None:
                self._set("last generation", generation)

    def owe(self, ids: Sequence[str]) -> None:
        """The vector store turned out to lack these."""
        with self._base:
            self._base.execute(_OWE, (named(ids),))


def _facts(document: Document) -> str:
    """The metadata as JSON, whose numbers stand there as the catalogue writes them."""
    written = {name: orjson.Fragment(text) for name, text in document.written.items() if math.isfinite(float(text))}
    return orjson.dumps(document.metadata | written).decode()


def open_ledger(path: Path) -> Ledger:
    """The index's SQLite file, made where there is none. Raises RunError for a damaged or an older one, and where it
    cannot be had now: a full disk, a folder that is read only, a program that keeps it locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        try:
            base = opened.enter_context(closing(sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)))
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise RunError(f"{path} was made by another version of tutelage: delete {path.parent} and index again")
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")
            if not version:
                base.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT")
        except sqlite3.OperationalError as error:
            raise RunError(f"{path} cannot be used now: {error}; nothing in it was changed") from None
        except sqlite3.DatabaseError as error:
            raise RunError(f"{path} is damaged ({error}): delete {path.parent} and index again") from None
        opened.pop_all()
    return Ledger(base)

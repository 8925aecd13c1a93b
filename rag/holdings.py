"""What the index holds, read out of its SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from typing_extensions import Self

from rag.cells import padded, whole
from rag.chunks import Chunk
from rag.documents import Document, Value

_STATE = "SELECT id, digest, text FROM document WHERE id IN (SELECT value FROM json_each(?))"
_DOCUMENTS = "SELECT id, title, fields, metadata, link FROM document WHERE id IN (SELECT value FROM json_each(?))"
_TITLE = "SELECT title FROM document ORDER BY id LIMIT 1 OFFSET ?"
_CHUNKS = (
    "SELECT chunk.id, document.id, place, chunk.text, title FROM chunk "
    "JOIN document ON document.number = chunk.document "
)
_CHUNKS_NAMED = _CHUNKS + "WHERE chunk.id IN (SELECT value FROM json_each(?))"  # noqa: S608 (both are written here)
_SOME_VECTORS = (
    "SELECT value FROM vector JOIN chunk USING (number) WHERE id IN (SELECT value FROM json_each(?)) ORDER BY number"
)
_CHUNKS_ALL = _CHUNKS + "ORDER BY chunk.number"

Vectors = NDArray[np.float32]


class Holdings:
    """Documents, their pieces and the pieces' vectors. Use as a context manager."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
        with suppress(sqlite3.Error):
            self._base.execute("PRAGMA busy_timeout = 0")  # else readers are waited for, in vain
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._base.close()

    def hold(self) -> None:
        """See everything as it is now until `release`, whatever others write meanwhile."""
        self._base.execute("BEGIN")
        self._base.execute("SELECT 1 FROM fact").fetchone()

    def release(self) -> None:
        """See what others write again."""
        self._base.rollback()

    def fact(self, name: str) -> Any:
        """A fact about the whole index, or None."""
        row = self._base.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def state(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """id -> (digest, digest of the text) of those documents that are in."""
        rows = self._base.execute(_STATE, (named(ids),))
        return {name: (digest, text) for name, digest, text in rows}

    def counts(self) -> tuple[int, int]:
        """Documents and chunks."""
        documents, chunks = self._base.execute(
            "SELECT (SELECT count(*) FROM document), (SELECT count(*) FROM chunk)"
        ).fetchone()
        return documents, chunks

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """Documents by id; those that are not in are left out."""
        rows = self._base.execute(_DOCUMENTS, (named(ids),))
        return {document.id: document for document in map(_document, rows)}

    def chunks(self, ids: Sequence[str]) -> dict[str, tuple[Chunk, str]]:
        """Chunks by id, each with its document's title."""
        rows = self._base.execute(_CHUNKS_NAMED, (named(ids),))
        return {name: (Chunk(name, document, place, text), title) for name, document, place, text, title in rows}

    def each_chunk(self) -> Iterator[tuple[Chunk, str]]:
        """Every chunk with its document's title, in the order of `places`."""
        for name, document, place, text, title in self._base.execute(_CHUNKS_ALL):
            yield Chunk(name, document, place, text), title

    def places(self) -> tuple[list[str], list[str], NDArray[np.int32]]:
        """Ids of all chunks, ids of all documents, and for each chunk which of these it belongs to."""
        documents = self._base.execute("SELECT number, id FROM document ORDER BY number").fetchall()
        place = {number: at for at, (number, _) in enumerate(documents)}
        chunks = self._base.execute("SELECT id, document FROM chunk ORDER BY number").fetchall()
        owner = np.fromiter((place[document] for _, document in chunks), np.int32, len(chunks))
        return [name for name, _ in chunks], [name for _, name in documents], owner

    def some_titles(self) -> list[str]:
        """Titles of the first, the middle and the last document by id, none twice."""
        documents, _ = self.counts()
        places = sorted({0, documents // 2, documents - 1}) if documents else []
        rows = [self._base.execute(_TITLE, (place,)).fetchone() for place in places]
        return list(dict.fromkeys(title for (title,) in rows if title.strip()))

    def metadata(self) -> Iterator[dict[str, Value]]:
        """The metadata of every document, in the order of `places`."""
        for (text,) in self._base.execute("SELECT metadata FROM document ORDER BY number"):
            yield orjson.loads(text)

    def vectors(self) -> Vectors:
        """The vectors of all chunks, in the order of `places`."""
        found = np.empty((0, 0), np.float32)
        for at, (value,) in enumerate(self._base.execute("SELECT value FROM vector ORDER BY number")):
            if not at:
                found = np.empty((self.counts()[1], len(value) // 4), np.float32)
            found[at] = np.frombuffer(value, np.float32)
        return found

    def some_vectors(self, ids: Sequence[str]) -> Vectors:
        """The vectors of these chunks, of one at least, in the order of `places`."""
        rows = self._base.execute(_SOME_VECTORS, (named(ids),))
        return np.stack([np.frombuffer(value, np.float32) for (value,) in rows])


def named(names: Sequence[str]) -> str:
    """Names as one parameter of a statement, for json_each: there may be any number of them."""
    return orjson.dumps(list(names)).decode()


def _document(row: tuple[str, str, str, str, str | None]) -> Document:
    identity, title, fields, facts, link = row
    metadata, texts = orjson.loads(facts), json.loads(facts, parse_float=str)
    written = {name: text for name, text in texts.items() if isinstance(metadata[name], float) and padded(text)}
    metadata |= {name: whole(metadata[name]) for name in written}
    return Document(identity, title, orjson.loads(fields), metadata, link, written)

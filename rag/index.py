"""The index, open for searching: by meaning, by words, and in both under a filter.

A filter is a few comparisons over columns in memory (rag/columns.py) and says which pieces may be found. For the search
by words that is all. The search by meaning asks Chroma for so many more neighbours that enough of them hold; where a
filter leaves few pieces, or not enough held, the pieces it leaves are compared with the question one and all, which is
exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.columns import Columns
from rag.documents import Document
from rag.fusion import Hit
from rag.holdings import Holdings, Vectors
from rag.index_folder import IndexFolder, IndexInUse
from rag.ledger import Ledger, open_ledger
from rag.lexical import Lexical, Mask, open_lexical, tokens
from rag.names import MOST_NAMED, codes, whole_names
from rag.vector_writer import VectorWriter, agrees
from rag.vectors import VectorStore, open_vectors
from rag.where import Condition
from recipes.errors import RunError
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import embedding_fingerprint

_FEW = 2_000
"""Pieces that are compared one and all rather than searched: about a millisecond."""
_READ = 100
"""Pieces, such as those of a document that a question names, for which not all vectors are read in."""
_SHARE = 8
"""Likewise where a filter leaves less than one piece in so many."""
_TOGETHER = 16
"""Questions that are compared with all pieces together: 64 MB at a million pieces."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A piece as it was indexed."""

    id: str
    document: str
    place: int
    title: str
    text: str


class Index:
    """Read only. names: metadata that filters may speak of. len(): pieces."""

    def __init__(self, holdings: Holdings, store: VectorStore, lexical: Lexical, names: Sequence[str]) -> None:
        self._holdings, self._store, self._lexical = holdings, store, lexical
        self.names = tuple(names)
        self._chunks, self._documents, self._owner = holdings.places()
        self._place = {name: place for place, name in enumerate(self._chunks)}

    def __len__(self) -> int:
        return len(self._chunks)

    def dense(self, vectors: Vectors, limit: int, where: Condition | None = None) -> list[list[Hit]]:
        """For each question's vector the nearest pieces; the score is the cosine similarity."""
        if where is None:
            return [self._hits(found) for found in self._nearest(vectors, limit)]
        mask = self._mask(where)
        left = int(np.count_nonzero(mask))
        if left <= max(_FEW, len(self) // _SHARE):
            return [self._hits(self._exact(vector, limit, mask)) for vector in vectors]
        wanted = min(len(self), limit * len(self) * 3 // (left * 2) + limit)
        return [
            self._hits(self._held(found, limit, mask) or self._exact(vector, limit, mask))
            for vector, found in zip(vectors, self._nearest(vectors, wanted), strict=True)
        ]

    def exact(self, vectors: Vectors, limit: int) -> list[list[Hit]]:
        """The same by comparing every piece: whatever graph Chroma has built this time, which differs from one build to
        the next, none is missed.
        """
        found: list[list[Hit]] = []
        for start in range(0, len(vectors), _TOGETHER):
            for near in np.asarray(vectors[start : start + _TOGETHER], np.float32) @ self._vectors.T:
                least = np.partition(near, -limit)[-limit] if limit < len(near) else -np.inf
                places = np.flatnonzero(near >= least)
                best = places[np.argsort(-near[places], kind="stable")[:limit]]
                found.append(self._hits(list(zip(best.tolist(), near[best].tolist(), strict=True))))
        return found

    def some_titles(self) -> list[str]:
        """Titles of up to three documents spread over the index."""
        return self._holdings.some_titles()

    def lexical(self, query: str, limit: int, where: Condition | None = None) -> list[Hit]:
        """The pieces that have words of the query; the score is BM25."""
        places, scores = self._lexical.search(query, limit, None if where is None else self._mask(where))
        return self._hits(list(zip(places.tolist(), scores.tolist(), strict=True)))

    def tokens(self, text: str) -> list[str]:
        """The words of a text as the search by words knows them."""
        return tokens(text)

    def frequency(self, words: Sequence[str]) -> list[int]:
        """In how many pieces each of these words is, as `tokens` gives them."""
        return self._lexical.frequency(words)

    def chunks(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """Pieces by id, in the order asked for; those that are not there are left out."""
        found = self._holdings.chunks(ids)
        known = [(found[name]) for name in dict.fromkeys(ids) if name in found]
        return {
            chunk.id: StoredChunk(chunk.id, chunk.document, chunk.place, title, chunk.text) for chunk, title in known
        }

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """Documents by id, in the order asked for; those that are not there are left out."""
        found = self._holdings.documents(ids)
        return {name: found[name] for name in dict.fromkeys(ids) if name in found}

    def document_ids(self) -> list[str]:
        """The ids of all documents, in the order in which they came in."""
        return self._documents

    def fact(self, name: str) -> Any:
        """A fact about the whole index, or None."""
        return self._holdings.fact(name)

    def named(self, query: str, vector: Vectors, limit: int, where: Condition | None = None) -> list[Hit]:
        """The pieces of documents that a question names outright, the nearest first."""
        documents = self._called(query)
        if documents is None:
            return []
        mask: Mask = documents[self._owner]
        if where is not None:
            mask &= self._mask(where)
        return self._hits(self._exact(vector[0], limit, mask))

    def _called(self, query: str) -> Mask | None:
        """The documents that a question names, None where it names none."""
        for name in whole_names(query):
            documents = self._with_name(name)
            if documents.any():
                return documents
        found = [documents for name in codes(query) if 0 < (documents := self._with_name(name)).sum() <= MOST_NAMED]
        return np.logical_or.reduce(found) if found else None

    def _with_name(self, name: str) -> Mask:
        """The documents with this id, or with a value of metadata that is this."""
        found: Mask = self._columns.called(name)
        for place in self._ids.get(name.casefold(), ()):
            found[place] = True
        return found

    def _nearest(self, vectors: Vectors, limit: int) -> list[list[tuple[int, float]]]:
        """Places and similarities; what the ledger does not know (any more) is passed over."""
        found = self._store.nearest(vectors, min(limit, len(self)))
        return [[(self._place[name], near) for name, near in one if name in self._place] for one in found]

    def _held(self, found: Sequence[tuple[int, float]], limit: int, mask: Mask) -> list[tuple[int, float]] | None:
        """Those that hold, or None where they are not enough to be sure that no other is nearer."""
        held = [(place, near) for place, near in found if mask[place]]
        return held[:limit] if len(held) >= limit else None

    def _exact(self, vector: Vectors, limit: int, mask: Mask) -> list[tuple[int, float]]:
        """The nearest of the pieces under the mask, by comparing every one."""
        places = np.flatnonzero(mask)
        near = self._some_vectors(places) @ np.asarray(vector, np.float32)
        best = np.argsort(-near, kind="stable")[:limit]
        return list(zip(places[best].tolist(), near[best].tolist(), strict=True))

    def _some_vectors(self, places: NDArray[np.intp]) -> Vectors:
        if 0 < len(places) <= _READ and "_vectors" not in self.__dict__:
            return self._holdings.some_vectors([self._chunks[place] for place in places])
        return self._vectors[places]

    def _hits(self, found: Sequence[tuple[int, float]]) -> list[Hit]:
        return [Hit(self._chunks[place], self._documents[self._owner[place]], score) for place, score in found]

    def _mask(self, where: Condition) -> Mask:
        """Which pieces a filter leaves."""
        found: Mask = self._columns.mask(where)[self._owner]
        if not found.any():
            self._columns.check_case(where)
        return found

    def prepare(self) -> None:
        """Read what every question looks at, which else the first waits for."""
        self._called("-")

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        """Places of the documents by their ids without capitals."""
        found: dict[str, list[int]] = {}
        for place, name in enumerate(self._documents):
            found.setdefault(name.casefold(), []).append(place)
        return found

    @cached_property
    def _columns(self) -> Columns:
        return Columns(self.names, self._holdings.metadata())

    @cached_property
    def _vectors(self) -> Vectors:
        """All vectors, read in at the first question that needs them: 92 MB at 60,000 pieces of 384 numbers."""
        return self._holdings.vectors()


@contextmanager
def open_index(recipe: Recipe, run: RunFolder) -> Iterator[Index]:
    """A run's index, mended first where a stop left it torn. Raises RunError where there is none.

    What is found is what was there when it was opened, whatever is written meanwhile; of vectors on a server, which
    keeps no old ones, what is still there.
    """
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    folder = IndexFolder(run)
    if not folder.ledger.exists():
        raise RunError(f"{folder.path} holds no index: run python -m rag index on the recipe first")
    with open_ledger(folder.ledger) as ledger:
        if ledger.fact("collection") is None:
            raise RunError(f"{folder.path} holds no index: run python -m rag index on the recipe first")
        if ledger.fact("embedding") != embedding_fingerprint(recipe):
            raise RunError(f"{folder.path} is of another embedding: run python -m rag index on the recipe first")
        with _reading(folder, ledger) as store:
            yield Index(ledger, store, open_lexical(folder.path, ledger), list(recipe.retrieval.catalogue.metadata))


@contextmanager
def _reading(folder: IndexFolder, ledger: Ledger) -> Iterator[VectorStore]:
    """The vectors to read, once the stores agree; or as they are, while another process sees to it that they do."""
    for mended in (False, True):
        with ExitStack() as opened:
            opened.callback(ledger.release)
            store = _open_current(folder, ledger, opened)
            if store is not None and (mended or agrees(ledger, store)):
                yield store
                return
        _mend(folder, ledger)
    raise RunError(f"{folder.path} is being made by another process: wait for it to end")


def _open_current(folder: IndexFolder, ledger: Ledger, opened: ExitStack) -> VectorStore | None:
    """The store that the ledger names, None where there is none or it cannot be opened. A server must answer."""
    while True:
        generation = ledger.fact("generation")
        opened.enter_context(folder.using(generation))
        ledger.hold()
        if ledger.fact("generation") == generation:
            break
        ledger.release()  # a new one came between, and this one may be swept away
    server, collection = ledger.fact("server"), ledger.fact("collection")
    if server is not None:
        return opened.enter_context(open_vectors(folder.path, server, collection, ledger.fact("server key")))
    if generation is None:
        return None
    try:
        return opened.enter_context(open_vectors(folder.generation(generation), None, collection))
    except RunError:
        return None  # damaged: it will be made anew


def _mend(folder: IndexFolder, ledger: Ledger) -> None:
    """Bring the stores to agree, unless another process is at it."""
    with suppress(IndexInUse), folder.writing(), VectorWriter(folder, ledger):
        pass

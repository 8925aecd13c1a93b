"""One pass over the catalogue: only what is new or changed is cut, embedded and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from rag.catalogue import Reading
from rag.chunks import Chunk, cut_document, searched
from rag.documents import Document
from rag.embedder import Embedder, open_embedder
from rag.holdings import Vectors
from rag.index_report import IndexProgress, IndexReport
from rag.ledger import Entry, Ledger
from rag.vector_writer import VectorWriter
from recipes.errors import SourceError
from recipes.runs import digest
from recipes.schema import Recipe
from recipes.stages import INDEX_VERSION, embedding_fingerprint
from recipes.tables import count_table

BATCH = 1_000
"""Documents that are looked up together."""
WINDOW = 512
"""Pieces that are embedded and written together: what a stop can cost."""


class Pass:
    """report: counted up while it runs. embedder: where it is loaded already."""

    def __init__(
        self, recipe: Recipe, ledger: Ledger, writer: VectorWriter, report: IndexReport,
        embedder: Embedder | None = None,
    ) -> None:  # fmt: skip
        assert recipe.retrieval is not None, "the recipe has no section retrieval"
        self._recipe, self._retrieval = recipe, recipe.retrieval
        self._ledger, self._writer, self._report = ledger, writer, report
        self._reading = Reading(recipe)
        self._settings = digest(
            [INDEX_VERSION, embedding_fingerprint(recipe), self._retrieval.chunk_tokens, self._retrieval.chunk_overlap]
        )
        self._embedder = embedder
        self._waiting: list[_Waiting] = []

    def run(self) -> None:
        """Bring everything in; then take out what the catalogue no longer has. Raises SourceError where it is empty."""
        self._ledger.begin_pass()
        documents = self._reading.documents()
        with IndexProgress(self._report, self._total()):
            while batch := list(islice(documents, BATCH)):
                self._take(batch)
            self._flush()
        self._report.rejected, self._report.dropped_links = dict(self._reading.rejected), self._reading.dropped_links
        if not self._report.read:
            raise SourceError(f"{self._reading.where}: no row is a document: the index is left as it was")
        gone = self._ledger.unseen()
        self._ledger.remove(gone)
        self._writer.tell()
        self._report.removed = len(gone)

    def _total(self) -> int:
        """Documents to come, where counting them is little beside embedding them; 0 where nobody counts."""
        catalogue = self._retrieval.catalogue
        if catalogue.path is None or self._ledger.counts()[0]:
            return 0
        return count_table(self._recipe.resolve(catalogue.path), catalogue.limit)

    def _take(self, batch: Sequence[tuple[str, Document]]) -> None:
        """Sort a batch into what is as before and what is to be written."""
        documents = self._first_of_each(batch)
        known = self._ledger.state([document.id for document in documents])
        for document in documents:
            entry = Entry(document, document.digest(self._settings), document.text_digest(self._settings))
            before = known.get(document.id)
            if before is not None and before[0] == entry.digest:
                self._report.unchanged += 1
                continue
            same_text = before is not None and before[1] == entry.text_digest
            self._waiting.append(_Waiting(entry, before is None, None if same_text else self._cut(document)))
            if sum(len(one.chunks or ()) for one in self._waiting) >= WINDOW or len(self._waiting) >= BATCH:
                self._flush()

    def _first_of_each(self, batch: Sequence[tuple[str, Document]]) -> list[Document]:
        """The documents whose id this pass has not seen yet."""
        found = []
        news = self._ledger.see([document.id for _, document in batch])
        for (at, document), new in zip(batch, news, strict=True):
            if new:
                found.append(document)
            else:
                self._reading.reject(
                    "id seen before", f"{at}: the id {document.id!r} stands in an earlier row, which counts"
                )
        return found

    def _cut(self, document: Document) -> list[Chunk]:
        embedder = self.open_embedder()
        tokens = min(self._retrieval.chunk_tokens, embedder.max_tokens)
        return cut_document(document, self._settings, tokens, self._retrieval.chunk_overlap, embedder.spans)

    def open_embedder(self) -> Embedder:
        """The embedder, loaded where the first document needs it: a pass that finds nothing new does without."""
        if self._embedder is None:
            self._embedder = open_embedder(self._recipe)
        return self._embedder

    def _flush(self) -> None:
        """Embed and write what is waiting."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        texts = [searched(one.entry.document.title, chunk.text) for one in waiting for chunk in one.chunks or ()]
        vectors = iter(self.open_embedder().documents(texts) if texts else ())
        entries = []
        for one in waiting:
            if one.chunks is not None:
                own: Vectors = np.stack([next(vectors) for _ in one.chunks])
                entries.append(replace(one.entry, chunks=one.chunks, vectors=own))
            else:
                entries.append(one.entry)
        self._ledger.write(entries)
        self._writer.tell()
        self._report.embedded += len(texts)
        self._report.added += sum(one.new for one in waiting)
        self._report.changed += sum(not one.new for one in waiting)
        self._report.retexted += sum(not one.new and one.chunks is not None for one in waiting)


class _Waiting(NamedTuple):
    """A document to be written. chunks: None where its text, and with it its vectors, are as before."""

    entry: Entry
    new: bool
    chunks: list[Chunk] | None


def embedder_of_another(recipe: Recipe, ledger: Ledger) -> Embedder | None:
    """The embedder, loaded, where the ledger's vectors are of another one or there are none yet; else None. Raises
    RunError where it cannot be loaded.
    """
    return None if ledger.fact("embedding") == embedding_fingerprint(recipe) else open_embedder(recipe)

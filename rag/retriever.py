"""A question -> passages, and whether they answer it: both searches, their scores joined, re-ranked by option."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from rag.chunks import searched
from rag.fusion import Fused, Hit, fuse, others, put_first
from rag.kept import Kept
from rag.limits import asks_no_more, said_limit
from rag.passages import Found, Passage
from rag.rerank import Reranker, open_reranker
from rag.sentences import telling_words
from rag.signals import Signals, rarity, read_signals
from rag.threshold import Threshold
from rag.where import Condition, Where, read_where
from recipes.errors import AskError
from recipes.retrieval import Retrieval
from recipes.runs import RunFolder
from recipes.schema import Recipe

if TYPE_CHECKING:
    from rag.embedder import Embedder
    from rag.holdings import Vectors
    from rag.index import Index

MOST_CHARACTERS = 4_000
"""What is read of a question: a longer one is no search."""
_QUESTIONS, _TEXTS = 64, 4_096
"""Vectors that are kept: of questions, which are quoted for next, and of sentences, which are quoted again (6 MB)."""
_LOOKED_AT = 3
"""Passages whose words count as found."""


class Search(NamedTuple):
    """What was found for a question, before any is shown. ranked: a piece of each document; others: all the rest."""

    ranked: list[Fused]
    signals: Signals
    others: list[Fused]


class Retriever:
    """An index that is open, and how it is searched. threshold: None where there is none; then nothing is refused.

    May be asked by several threads; it searches for one at a time.
    """

    def __init__(
        self, index: Index, embedder: Embedder, settings: Retrieval, threshold: Threshold | None = None,
        reranker: Reranker | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._index, self._embedder, self._reranker = index, embedder, reranker
        self._threshold = threshold
        self._queries, self._texts = Kept(embedder.queries, _QUESTIONS), Kept(embedder.documents, _TEXTS)
        self._searching = Lock()

    def search(self, query: str, where: Where | None = None, top_k: int | None = None) -> Found:
        """The passages for one question. Raises AskError for a filter or a number that cannot be."""
        return self.search_many([query], where, top_k)[0]

    def search_many(self, queries: Sequence[str], where: Where | None = None, top_k: int | None = None) -> list[Found]:
        """The same for several; their vectors are made together."""
        limit = self.settings.top_k if top_k is None else top_k
        if not 1 <= limit <= self.settings.candidates:
            raise AskError(f"{limit} passages cannot be had: 1 to {self.settings.candidates} (retrieval.candidates)")
        condition = None if where is None else read_where(where, self._index.names)
        cleaned = [_clean(query) for query in queries]
        with self._searching:
            vectors = self._embedder.queries(cleaned)
            self._queries.keep(cleaned, vectors)
            return [
                self._found(query, self._looked(query, vectors[place : place + 1], condition), limit)
                for place, query in enumerate(cleaned)
            ]

    def some_titles(self) -> list[str]:
        """Titles of up to three documents spread over the index."""
        with self._searching:
            return self._index.some_titles()

    def nearness(self, question: str, texts: Sequence[str]) -> list[float]:
        """The cosine similarity of each text to a question."""
        with self._searching:
            vector = self._queries.of([_clean(question)])[0]
            return [float(near) for near in self._texts.of(texts) @ vector]

    def _looked(self, query: str, vector: Vectors, condition: Condition | None) -> Search:
        """What `look` finds, within the limit of price that a question sets in words where no filter was given and
        something is within it.
        """
        said = None if condition else said_limit(query, self._index.names)
        if said is not None:
            with suppress(AskError):  # the column holds words
                found = self.look(query, vector, read_where(said, self._index.names))
                if found.ranked:
                    named = found.signals.named or asks_no_more(query)
                    return found._replace(signals=replace(found.signals, named=named))
        return self.look(query, vector, condition)

    def look(
        self, query: str, vector: Vectors, condition: Condition | None = None, without: Collection[str] = ()
    ) -> Search:
        """Search without showing. vector: (1, width). without: documents taken as not there."""
        if not query:
            return Search([], read_signals([], [], []), [])
        limit = self.settings.candidates + 2 * len(without)
        dense = _except(self._index.dense(vector, limit, condition)[0], without)
        lexical = _except(self._index.lexical(query, limit, condition), without)
        most = self._most(query)
        ranked = fuse(dense, lexical, most)
        named = _except(self._index.named(query, vector, limit, condition), without)
        signals = self._signals(query, ranked, dense)
        found = put_first(named, self._reranked(query, ranked[: self.settings.candidates]))
        more = others(dense, lexical, most, [*ranked, *found])
        return Search(found, replace(signals, named=True) if named else signals, more)

    def _reranked(self, query: str, ranked: list[Fused]) -> list[Fused]:
        if self._reranker is None or not ranked:
            return ranked
        known = self._index.chunks([one.chunk for one in ranked])
        there = [one for one in ranked if one.chunk in known]
        texts = [searched(known[one.chunk].title, known[one.chunk].text) for one in there]
        scores = self._reranker.scores(query, texts)
        scored = [Fused(one.document, one.chunk, score) for one, score in zip(there, scores, strict=True)]
        return sorted(scored, key=lambda one: -one.score)

    def _most(self, query: str) -> float:
        """What BM25 gives a piece that is full of the question's words."""
        counts = self._index.frequency(self._index.tokens(query))
        return sum(rarity(len(self._index), count) for count in counts)

    def _signals(self, query: str, ranked: Sequence[Fused], dense: Sequence[Hit]) -> Signals:
        words = self._index.tokens(" ".join(telling_words(query)))
        known = self._index.chunks([one.chunk for one in ranked[:_LOOKED_AT]])
        texts = [searched(one.title, one.text) for one in known.values()]
        return read_signals(words, [set(self._index.tokens(text)) for text in texts], dense)

    def _found(self, query: str, search: Search, limit: int) -> Found:
        confidence = self._threshold.confidence(search.signals) if self._threshold and search.ranked else 0.0
        least = self._threshold.least if self._threshold else 0.0
        shown = search.ranked[:limit]
        shown += self._reranked(query, search.others[: limit - len(shown)])
        passages = self._passages(shown)
        return Found(query, passages, confidence, bool(passages) and confidence >= least)

    def _passages(self, ranked: Sequence[Fused]) -> tuple[Passage, ...]:
        chunks = self._index.chunks([one.chunk for one in ranked])
        documents = self._index.documents([one.document for one in ranked])
        there = [one for one in ranked if one.chunk in chunks and one.document in documents]
        return tuple(
            Passage(
                number=number,
                chunk=one.chunk,
                document=one.document,
                title=documents[one.document].title,
                text=chunks[one.chunk].text,
                fields=documents[one.document].fields,
                metadata=documents[one.document].metadata,
                link=documents[one.document].link,
                score=one.score,
                written=documents[one.document].written,
            )
            for number, one in enumerate(there, 1)
        )


@contextmanager
def open_retriever(recipe: Recipe, run: RunFolder) -> Iterator[Retriever]:
    """The retriever of an index that is up to date. Raises RunError where there is none or a model cannot be loaded."""
    from rag.calibrate import read_threshold
    from rag.embedder import open_embedder
    from rag.index import open_index

    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    embedder = open_embedder(recipe)
    with open_index(recipe, run) as index:
        index.prepare()
        yield Retriever(index, embedder, recipe.retrieval, read_threshold(index), open_reranker(recipe))


def _clean(query: str) -> str:
    """What is searched for: no lone surrogates, no control characters, not endless."""
    text = query[:MOST_CHARACTERS].encode("utf-8", "ignore").decode()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _except(hits: Sequence[Hit], without: Collection[str]) -> list[Hit]:
    return [hit for hit in hits if hit.document not in without] if without else list(hits)

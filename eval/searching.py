"""What is found for each question: by the search as the recipe has it, by meaning alone, and by words alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Literal

from eval.query_set import QuerySet
from rag.calibrate import read_threshold
from rag.embedder import Embedder, open_embedder
from rag.fusion import Hit
from rag.index import Index, open_index
from rag.rerank import open_reranker
from rag.retriever import Retriever
from recipes.queries import Query
from recipes.retrieval import Retrieval
from recipes.rows import Row
from recipes.runs import RunFolder
from recipes.schema import Recipe

Way = Literal["hybrid", "dense", "bm25"]
WAYS: tuple[Way, ...] = ("hybrid", "dense", "bm25")
DEPTH = 10
"""Documents of a ranking that are scored."""
SAME = 0.9
"""Cosine from which another document is taken to answer the same question, where its own is withheld."""
_WARM_UP = 3


class Searched(Row):
    """A question and what was found: a line of retrieval/searches.jsonl. hybrid, dense, bm25: documents, best first.

    answerable: whether the search was sure enough to answer. withheld: the same with the documents of the question
    taken out; None where that was not tried. milliseconds: of the search, embedding of the question included.
    """

    query: str
    kind: str
    relevant: dict[str, float]
    hybrid: tuple[str, ...]
    dense: tuple[str, ...]
    bm25: tuple[str, ...]
    confidence: float
    answerable: bool
    withheld: bool | None
    milliseconds: float

    @property
    def useful(self) -> bool:
        """Whether some document answers the question."""
        return any(grade > 0 for grade in self.relevant.values())

    def ranked(self, way: Way) -> tuple[str, ...]:
        """Documents found in one of the ways."""
        found: tuple[str, ...] = getattr(self, way)
        return found


class Searcher:
    """A recipe's index, open. Use as a context manager. Raises RunError where it cannot be opened."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        assert recipe.retrieval is not None, "the recipe has no section retrieval"
        self.settings: Retrieval = recipe.retrieval
        with ExitStack() as opened:
            self.embedder: Embedder = open_embedder(recipe)
            self.index: Index = opened.enter_context(open_index(recipe, run))
            self._threshold = read_threshold(self.index)
            self.retriever = Retriever(self.index, self.embedder, self.settings, self._threshold, open_reranker(recipe))
            self._opened = opened.pop_all()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    @property
    def refuses(self) -> bool:
        """Whether there is a threshold: a small catalogue has none, and retrieval.refuse: 0 refuses nothing."""
        return self._threshold is not None and self._threshold.least > 0

    def search_all(self, asked: QuerySet) -> list[Searched]:
        """What is found for every question. With made questions their own documents are withheld once too."""
        for query in asked.queries[:_WARM_UP]:
            self.retriever.search(query.query)
        return [self._searched(query, asked.origin is None) for query in asked.queries]

    def _searched(self, query: Query, made: bool) -> Searched:
        depth = min(max(DEPTH, self.settings.top_k), self.settings.candidates)
        began = time.perf_counter()
        found = self.retriever.search(query.query, None, depth)
        milliseconds = 1000 * (time.perf_counter() - began)
        vector = self.embedder.queries([query.query])
        dense = self.index.dense(vector, self.settings.candidates)[0]
        words = self.index.lexical(query.query, self.settings.candidates)
        return Searched(
            query=query.query,
            kind=query.kind,
            relevant=query.relevant,
            hybrid=tuple(dict.fromkeys(passage.document for passage in found.passages)),
            dense=_documents(dense, depth),
            bm25=_documents(words, depth),
            confidence=round(found.confidence, 4),
            answerable=found.answerable,
            withheld=self._withheld(query) if made and query.answerable and self.refuses else None,
            milliseconds=round(milliseconds, 3),
        )

    def _withheld(self, query: Query) -> bool:
        """Whether a question would be let through though nothing that answers it is there."""
        assert self._threshold is not None
        documents = self.index.documents(list(query.relevant)).values()
        vectors = self.embedder.documents([f"{one.title}\n{one.body[:1000]}" for one in documents])
        near = [hit.document for hits in self.index.dense(vectors, 20) for hit in hits if hit.score >= SAME]
        without = {*query.relevant, *near}
        search = self.retriever.look(query.query, self.embedder.queries([query.query]), without=without)
        return bool(search.ranked) and self._threshold.confidence(search.signals) >= self._threshold.least


def _documents(hits: Sequence[Hit], most: int) -> tuple[str, ...]:
    """The documents of some pieces, each once, in the order of their best."""
    return tuple(dict.fromkeys(hit.document for hit in hits))[:most]

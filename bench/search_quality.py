"""Questions with their products, and how many of them a search finds. For bench/retrieval.py.

Of ../shared/data/products: six kinds of question made from some of them (rag/own_questions.py), each about one product.
Of search_relevance: its real queries, and the products that its raters gave a 4.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import Any, NamedTuple

from bench.catalogue_data import Relevance, Row
from rag.documents import Document
from rag.index import Index
from rag.own_questions import KINDS, own_questions, slip
from rag.retriever import Retriever
from rag.sentences import WORD
from rag.signals import rarity
from rag.stop_words import STOP_WORDS

FIRST = 10
REAL = "real queries"


def in_haste(document: Document, rare: Callable[[str], float], dice: random.Random) -> str:
    """Four words of the title at most, in lower case, with a slip in each that is long enough."""
    words = [word.lower() for word in WORD.findall(document.title) if word.lower() not in STOP_WORDS]
    kept = sorted(dice.sample(range(len(words)), min(4, len(words))))
    return " ".join(slip(words[place], dice) or words[place] for place in kept)


ASKED = {**KINDS, "haste": in_haste}
"""Kind of question -> how it is made. Those of KINDS have their document's words as they stand, but for one."""


class Question(NamedTuple):
    """relevant: ids of the products that answer it."""

    kind: str
    text: str
    relevant: frozenset[str]


def made_questions(rows: Sequence[Row], index: Index, most: int) -> list[Question]:
    """Six about each of `most` products at most."""

    def rare(word: str) -> float:
        return rarity(len(index), max(index.frequency(index.tokens(word)), default=0))

    drawn = random.Random(1).sample(list(rows), min(len(rows), most))
    documents = [index.documents([row["id"]])[row["id"]] for row in drawn]
    made = own_questions(documents, rare, len(ASKED), seed=1, kinds=ASKED)
    return [Question(kind, text, frozenset([document.id])) for kind, text, document in made]


def real_questions(judged: Relevance, known: set[str]) -> list[Question]:
    """Those with a product rated 4 that is in the index."""
    best = {
        query: frozenset(id for id, rated in ids.items() if rated == 4 and id in known) for query, ids in judged.items()
    }
    return [Question(REAL, query, ids) for query, ids in best.items() if ids]


def found_by_each(
    retriever: Retriever, index: Index, embedder: Any, questions: Sequence[Question]
) -> dict[str, list[list[str]]]:
    """The first ten products for every question: by meaning alone, by words alone, and as we search."""
    texts = [question.text for question in questions]
    hits = index.dense(embedder.queries(texts), 50)
    return {
        "dense": [_documents(hit.document for hit in one) for one in hits],
        "bm25": [_documents(hit.document for hit in index.lexical(text, 50)) for text in texts],
        "hybrid": [
            _documents(passage.document for passage in found.passages)
            for found in retriever.search_many(texts, top_k=FIRST)
        ],
    }


def scores(questions: Sequence[Question], found: Sequence[Sequence[str]]) -> dict[str, dict[str, float]]:
    """kind -> recall@10 (of the ten products that could be found at most) and MRR@10; and the mean over the kinds."""
    recalls: dict[str, list[float]] = defaultdict(list)
    ranks: dict[str, list[float]] = defaultdict(list)
    for question, ids in zip(questions, found, strict=True):
        recalls[question.kind].append(len(question.relevant.intersection(ids)) / min(FIRST, len(question.relevant)))
        first = next((rank for rank, id in enumerate(ids, 1) if id in question.relevant), 0)
        ranks[question.kind].append(1 / first if first else 0.0)
    by_kind = {kind: {"recall@10": mean(recalls[kind]), "mrr@10": mean(ranks[kind])} for kind in recalls}
    means = {name: mean(one[name] for one in by_kind.values()) for name in ("recall@10", "mrr@10")}
    return {
        kind: {name: round(value, 4) for name, value in one.items()}
        for kind, one in [*by_kind.items(), ("mean", means)]
    }


def _documents(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))[:FIRST]

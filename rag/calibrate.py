"""How sure a search must be: questions made from the catalogue itself, with and without the document they are about.

A question whose own document is taken out of the results (with those that are nearly the same) stands for one that the
catalogue does not answer; so do questions that no catalogue answers. What is set here is measured on other questions
than it was fitted on, and both are of our own making: a set of a user's own says more (python -m eval).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from rag.documents import Document
from rag.off_topic import OFF_TOPIC
from rag.own_questions import KINDS, own_questions
from rag.retriever import Retriever
from rag.signals import Signals, rarity
from rag.threshold import Threshold, fit_threshold, threshold_from
from recipes.retrieval import Retrieval

if TYPE_CHECKING:
    from rag.embedder import Embedder
    from rag.index import Index

QUESTIONS = 240
"""Questions made, at most; with each of them two searches."""
LEAST_DOCUMENTS = 8
"""A smaller catalogue gets no threshold."""
CHANGED = 0.1
"""Share of the documents that may come, go or change before the threshold is set anew."""
FACT = "threshold"
_SAME = 0.9
"""Cosine from which another document's piece is taken to answer the same question."""


def calibrate(index: Index, embedder: Embedder, settings: Retrieval) -> Threshold | None:
    """Fit the threshold on questions about a seeded draw of the documents; None where the catalogue is too small."""
    documents = _draw(index)
    if len(documents) < LEAST_DOCUMENTS:
        return None
    retriever = Retriever(index, embedder, settings)

    def rare(word: str) -> float:
        return rarity(len(index), max(index.frequency(index.tokens(word)), default=0))

    each = max(1, min(len(KINDS), QUESTIONS // len(documents)))
    made = own_questions(documents, rare, each)
    vectors = embedder.queries([question for _, question, _ in made])
    same = {document.id: _same(index, embedder, document) for document in documents}
    answered: list[Signals] = []
    unanswered: list[Signals] = []
    for place, (_, question, document) in enumerate(made):
        vector = vectors[place : place + 1]
        answered.append(retriever.look(question, vector).signals)
        unanswered.append(retriever.look(question, vector, without=same[document.id]).signals)
    others = embedder.queries(OFF_TOPIC)
    foreign = [retriever.look(question, others[place : place + 1]).signals for place, question in enumerate(OFF_TOPIC)]
    return fit_threshold(answered, [*unanswered, *foreign], settings.refuse)


def threshold_fact(threshold: Threshold | None, settings: Retrieval) -> dict[str, Any]:
    """What is kept with the index: the threshold, and what it was set for."""
    return {"refuse": settings.refuse, "threshold": None if threshold is None else threshold.as_json()}


def read_threshold(index: Index) -> Threshold | None:
    """The threshold kept with an index, or None where it has none."""
    kept = (index.fact(FACT) or {}).get("threshold")
    return None if kept is None else threshold_from(kept)


def is_due(fact: dict[str, Any] | None, settings: Retrieval, changed: int, documents: int) -> bool:
    """Whether the threshold is to be set anew. fact: what is kept. changed: documents since it was kept."""
    if fact is None or fact["refuse"] != settings.refuse:
        return True
    return changed > CHANGED * documents


def _draw(index: Index) -> list[Document]:
    ids = index.document_ids()
    drawn = sorted(random.Random(0).sample(range(len(ids)), min(len(ids), QUESTIONS)))
    return list(index.documents([ids[place] for place in drawn]).values())


def _same(index: Index, embedder: Embedder, document: Document) -> set[str]:
    """The document and those that nearly say the same."""
    vector = embedder.documents([f"{document.title}\n{document.body[:1000]}"])
    hits = index.dense(vector, 20, None)[0]
    return {document.id, *(hit.document for hit in hits if hit.score >= _SAME)}

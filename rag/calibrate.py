"""How sure a search must be: questions made from the catalogue itself, with and without the document they are about.

A question is most of a title, or a sentence that the document says of itself. Taken out of the results, with those that
are nearly the same, the document leaves a question that the catalogue does not answer; so do questions that no
catalogue answers. All are of our own making: a set of a user's own says more (python -m eval). Why these kinds, and why
the cosine alone: decision 15.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from rag.documents import Document
from rag.off_topic import OFF_TOPIC
from rag.own_questions import own_questions, sentence, title_words
from rag.threshold import Threshold, fit_threshold, threshold_from
from recipes.counts import counted
from recipes.retrieval import Retrieval
from recipes.stages import THRESHOLD_VERSION

if TYPE_CHECKING:
    from rag.embedder import Embedder
    from rag.holdings import Vectors
    from rag.index import Index

QUESTIONS = 240
"""Documents that questions are made of, at most."""
LEAST_DOCUMENTS = 8
"""A smaller catalogue gets no threshold."""
FEW = 5
"""Questions that must be expected below a threshold for their share to be known at all well."""
CHANGED = 0.1
"""Share of the documents that may come, go or change before the threshold is set anew."""
FACT = "threshold"
_KINDS = {"title": title_words, "sentence": sentence}
_SAME = 0.9
"""Cosine from which another document's piece is taken to answer the same question."""
_SEEN = 50
"""Pieces among which the nearest of another document is looked for."""


def calibrate(index: Index, embedder: Embedder, settings: Retrieval) -> Threshold | None:
    """Fit the threshold on questions about a seeded draw of the documents; None where the catalogue is too small,
    or its own questions are no nearer to it than others are.
    """
    documents = drawn(index)
    if len(documents) < LEAST_DOCUMENTS:
        return None
    made = own_questions(documents, lambda word: 0.0, len(_KINDS), kinds=_KINDS)
    if len(made) < LEAST_DOCUMENTS:
        return None  # titles without a word
    same = _same(index, embedder, documents)
    vectors = embedder.queries([question for _, question, _ in made])
    abouts = [same[document.id] for _, _, document in made]
    unanswered = _cosines(index, vectors, abouts) + _cosines(index, embedder.queries(OFF_TOPIC))
    return fit_threshold(_cosines(index, vectors), unanswered, settings.refuse)


def _cosines(index: Index, vectors: Vectors, without: list[set[str]] | None = None) -> list[float]:
    """The similarity of the nearest piece to each question. without: documents taken as not there, for each."""
    found = index.exact(vectors, 1 if without is None else _SEEN)
    hidden = without or [set()] * len(found)
    pairs = zip(found, hidden, strict=True)
    return [next((hit.score for hit in hits if hit.document not in names), 0.0) for hits, names in pairs]


def threshold_fact(threshold: Threshold | None, settings: Retrieval) -> dict[str, Any]:
    """What is kept with the index: the threshold, and what it was set for."""
    return {**_set_for(settings), "threshold": None if threshold is None else threshold.as_json()}


def _set_for(settings: Retrieval) -> dict[str, Any]:
    """What a threshold depends on beside the documents: another prompt makes other vectors of questions."""
    prompt = settings.embedding.query_prompt
    return {"model": THRESHOLD_VERSION, "refuse": settings.refuse, "query_prompt": prompt}


def read_threshold(index: Index) -> Threshold | None:
    """The threshold kept with an index, or None where it has none."""
    fact = index.fact(FACT)
    if fact is None or fact.get("model") != THRESHOLD_VERSION or fact["threshold"] is None:
        return None
    return threshold_from(fact["threshold"])


def is_due(fact: dict[str, Any] | None, settings: Retrieval, changed: int, documents: int) -> bool:
    """Whether the threshold is to be set anew. fact: what is kept. changed: documents since it was kept."""
    if fact is None or any(fact.get(name) != value for name, value in _set_for(settings).items()):
        return True
    return changed > CHANGED * documents


def drawn(index: Index) -> list[Document]:
    """The documents that a threshold is set on: a seeded draw."""
    ids = index.document_ids()
    places = sorted(random.Random(0).sample(range(len(ids)), min(len(ids), QUESTIONS)))
    return list(index.documents([ids[place] for place in places]).values())


def _same(index: Index, embedder: Embedder, documents: list[Document]) -> dict[str, set[str]]:
    """Each document with those that nearly say the same."""
    vectors = embedder.documents([f"{document.title}\n{document.body[:1000]}" for document in documents])
    return {
        document.id: {document.id, *(hit.document for hit in hits if hit.score >= _SAME)}
        for document, hits in zip(documents, index.exact(vectors, 20), strict=True)
    }


def told(threshold: Threshold | None, refuse: float, documents: int) -> list[str]:
    """What is said of a threshold that was set anew: what it does, and where so few questions say little."""
    if threshold is None:
        why = (
            f"too few of {counted(documents, 'document')} have words to make questions of ({LEAST_DOCUMENTS} at least),"
            " or those made are no nearer to the catalogue than questions about other things"
        )
        return [f"no threshold is set, since {why}: no question is refused for what it is about"]
    lines = [
        f"threshold set on {counted(threshold.questions, 'question')} of the catalogue's own: of such it refuses "
        f"{threshold.refused:.0%} (retrieval.refuse: {refuse:g}), and {1 - threshold.accepted:.0%} of those whose "
        "document was taken out, which are the hardest to tell, or that are about other things"
    ]
    if 0 < refuse * threshold.questions < FEW:
        lines.append(
            f"warning: that is a small sample: at {refuse:g} only {refuse * threshold.questions:.1f} of them would be "
            "refused, so that of your shoppers' questions it may be several times as many, or none; ask some of theirs "
            "(python -m rag search), and set retrieval.refuse to 0 if answers are missing"
        )
    return lines

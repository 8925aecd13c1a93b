"""Two ranked lists -> one: reciprocal rank fusion (Cormack, Clarke, Buettcher: SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

K = 60
"""The constant of the paper: how little the first ranks count above those after them."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece that an index found. score: cosine similarity or BM25, higher is better."""

    chunk: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Fused:
    """A document that was found. chunk: its piece that stands highest in a list, the first list's where they are even.

    score: the sum over the lists of 1 / (60 + rank), ranks counted in documents from 1 on.
    """

    document: str
    chunk: str
    score: float


def fuse(lists: Sequence[Sequence[Hit]]) -> list[Fused]:
    """The documents of all lists, best first; of a tie the one that stood higher in the first list that has either."""
    scores: dict[str, float] = {}
    best: dict[str, tuple[int, str]] = {}
    for hits in lists:
        for rank, hit in enumerate(_documents(hits), 1):
            scores[hit.document] = scores.get(hit.document, 0.0) + 1 / (K + rank)
            if hit.document not in best or rank < best[hit.document][0]:
                best[hit.document] = (rank, hit.chunk)
    ranked = sorted(scores, key=lambda document: -scores[document])
    return [Fused(document, best[document][1], scores[document]) for document in ranked]


def _documents(hits: Sequence[Hit]) -> list[Hit]:
    """The best hit of each document, in order."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.document, hit)
    return list(first.values())

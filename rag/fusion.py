"""Two lists of hits -> one: a sum of scores, each on a scale of its own that does not depend on the other hits.

The convex combination with a theoretical maximum of Bruch, Gai and Ingber (ACM TOIS 42, 2023), not reciprocal ranks:
a list of ranks looks the same whether or not it found anything (decision 17).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MEANING = 0.6
"""Weight of the cosine; the rest is that of the words. From 0.5 to 0.7 makes a hundredth of a difference."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A piece that an index found. score: cosine similarity or BM25, higher is better."""

    chunk: str
    document: str
    score: float


@dataclass(frozen=True, slots=True)
class Fused:
    """A document that was found, or a further piece of one. chunk: its piece that stands highest in a list, the dense
    list's where they are even.

    score: MEANING * cosine + (1 - MEANING) * BM25 / the most that it could be.
    """

    document: str
    chunk: str
    score: float


def fuse(dense: Sequence[Hit], lexical: Sequence[Hit], most: float) -> list[Fused]:
    """The documents of both lists, best first; of a tie the one that stands higher in the dense list.

    most: the sum of the rarities of the question's words, which is what BM25 gives a text that is full of them. A
    document that is not in the dense list is taken to be as near as the last one that is.
    """
    near, worded = _documents(dense), _documents(lexical)
    chunks = _chunks(near, worded)
    return [Fused(name, chunks[name], score) for name, score in _scored(near, worded, most)]


def others(dense: Sequence[Hit], lexical: Sequence[Hit], most: float, taken: Iterable[Fused]) -> list[Fused]:
    """The pieces of both lists but those `taken`, best first, each by scores of its own: what a short list of documents
    is filled up with.
    """
    near, worded = ({hit.chunk: hit for hit in hits} for hits in (dense, lexical))
    known = {**near, **worded}
    best = {one.chunk for one in taken}
    return [Fused(known[name].document, name, score) for name, score in _scored(near, worded, most) if name not in best]


def put_first(named: Iterable[Hit], ranked: Sequence[Fused]) -> list[Fused]:
    """The documents that were found, those that the question names outright before all others."""
    first: dict[str, Fused] = {}
    for hit in named:
        first.setdefault(hit.document, Fused(hit.document, hit.chunk, max(1.0, ranked[0].score if ranked else 0.0)))
    return [*first.values(), *(one for one in ranked if one.document not in first)]


def _scored(near: Mapping[str, Hit], worded: Mapping[str, Hit], most: float) -> list[tuple[str, float]]:
    """Names of both with their joint scores, best first."""
    least = min((hit.score for hit in near.values()), default=0.0)
    scores = {
        name: MEANING * (near[name].score if name in near else least)
        + (1 - MEANING) * (worded[name].score / most if name in worded else 0.0)
        for name in {**near, **worded}
    }
    return sorted(scores.items(), key=lambda one: -one[1])


def _documents(hits: Iterable[Hit]) -> dict[str, Hit]:
    """The best hit of each document, in order."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.document, hit)
    return first


def _chunks(*lists: dict[str, Hit]) -> dict[str, str]:
    """Of each document the piece that stands highest."""
    best: dict[str, tuple[int, str]] = {}
    for hits in lists:
        for rank, hit in enumerate(hits.values()):
            if hit.document not in best or rank < best[hit.document][0]:
                best[hit.document] = (rank, hit.chunk)
    return {name: chunk for name, (_, chunk) in best.items()}

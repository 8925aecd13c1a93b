"""What a search shows of whether it found an answer at all: a few figures, each near 0 where it did not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass

from rag.fusion import Hit

_FIRST = 5
"""Documents at the head of a list that are compared."""


@dataclass(frozen=True, slots=True)
class Signals:
    """cosine: similarity of the nearest piece. margin: how far it stands above the nine documents after it.

    coverage: share of the question's words that the best passages have, a rare word counting for more; of words in no
    document at all the weight is highest. agreement: share of documents that both lists have among their first five.
    """

    cosine: float
    margin: float
    coverage: float
    agreement: float

    def values(self) -> tuple[float, ...]:
        """In the order of the fields."""
        return astuple(self)


def read_signals(
    weights: Mapping[str, float], passages: Sequence[Collection[str]], dense: Sequence[Hit], lexical: Sequence[Hit]
) -> Signals:
    """weights: the question's words, each with how rare it is (`rarity`). passages: words of the best passages."""
    cosines = _documents(dense)
    nearest, others = (cosines[0], cosines[1:10]) if cosines else (0.0, [])
    firsts = [{hit.document for hit in hits[: _FIRST * 2]} for hits in (dense, lexical)]
    shared = len(firsts[0] & firsts[1]) / _FIRST
    return Signals(
        cosine=nearest,
        margin=nearest - sum(others) / len(others) if others else 0.0,
        coverage=max((_coverage(weights, words) for words in passages), default=0.0),
        agreement=min(1.0, shared),
    )


def rarity(documents: int, frequency: int) -> float:
    """How much a word tells: BM25's idf, which is highest for a word that no document has."""
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def _coverage(weights: Mapping[str, float], words: Collection[str]) -> float:
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in words) / total if total else 0.0


def _documents(hits: Sequence[Hit]) -> list[float]:
    """The best score of each document, in order."""
    best: dict[str, float] = {}
    for hit in hits:
        best.setdefault(hit.document, hit.score)
    return list(best.values())

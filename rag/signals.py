"""What a search shows of whether it found an answer at all."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rag.fusion import Hit


@dataclass(frozen=True, slots=True)
class Signals:
    """cosine: similarity of the nearest piece, 0 where there is none. named: whether one of the best passages has every
    telling word of the question, and they are two at least or one with a digit: an article's number, say, of which a
    vector knows little.

    Shares of words between none and all are no signal: shoppers do not use the catalogue's words (decision 15).
    """

    cosine: float
    named: bool = False


def read_signals(words: Sequence[str], passages: Sequence[Collection[str]], dense: Sequence[Hit]) -> Signals:
    """words: the question's telling words. passages: those of the best passages, as sets."""
    tells = len(words) > 1 or any(letter.isdigit() for word in words for letter in word)
    return Signals(
        cosine=dense[0].score if dense else 0.0,
        named=tells and any(all(word in passage for word in words) for passage in passages),
    )


def rarity(documents: int, frequency: int) -> float:
    """How much a word tells: BM25's idf, which is highest for a word that no document has."""
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))

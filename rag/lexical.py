"""Search by words: BM25 over the pieces of the documents, with the bm25s library.

The index is made from the ledger and kept beside it as arrays, in a folder named for the ledger's turn: one that does
not fit the ledger is made anew. Words are folded (case, accents) and cut to their English stems; no word is left out,
BM25 itself counts little what is in every text.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.chunks import searched
from rag.holdings import Holdings

_WORD = re.compile(r"[^\W_]+")
_NAME = "words-{}"

Mask = NDArray[np.bool_]
"""Which pieces may be found, in the ledger's order."""


def tokens(text: str) -> list[str]:
    """The words of a text as the index knows them."""
    return _stems(_words(text))


def _words(text: str) -> list[str]:
    text = text.casefold()
    if not text.isascii():
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return _WORD.findall(text)


def _stems(words: Sequence[str]) -> list[str]:
    from Stemmer import Stemmer  # type: ignore[import-not-found]

    return list(Stemmer("english").stemWords(list(words)))


class Lexical:
    """A BM25 index. Pieces are known by their place in the ledger's order. model: None where no piece has a word."""

    def __init__(self, model: Any | None) -> None:
        self._model = model
        self._vocabulary: dict[str, int] = {} if model is None else model.vocab_dict

    def search(self, query: str, limit: int, mask: Mask | None = None) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Places and scores of the pieces that have a word of the query, best first, the earlier one of equals."""
        words = [self._vocabulary[word] for word in tokens(query) if word in self._vocabulary]
        if self._model is None or not words:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        scores: NDArray[np.float32] = self._model.get_scores_from_ids(words)
        if mask is not None:
            scores = scores * mask
        # the library's own choice of the best takes 8 ms where most of 60,000 scores are 0
        places = np.flatnonzero(scores)
        if len(places) > limit:
            least = np.partition(scores[places], -limit)[-limit]
            places = places[scores[places] >= least]
        places = places[np.argsort(-scores[places], kind="stable")[:limit]]
        return places, scores[places]

    def frequency(self, words: Sequence[str]) -> list[int]:
        """In how many pieces each of these words is, as `tokens` gives them."""
        if self._model is None:
            return [0] * len(words)
        ends = self._model.scores["indptr"]
        numbers = [self._vocabulary.get(word) for word in words]
        return [0 if number is None else int(ends[number + 1] - ends[number]) for number in numbers]


def build_lexical(texts: Iterable[str]) -> Lexical:
    """Index texts, each by its place."""
    import bm25s  # type: ignore[import-untyped]

    seen: dict[str, int] = {}
    corpus = [[seen.setdefault(word, len(seen)) for word in _words(text)] for text in texts]
    if not seen:
        return Lexical(None)
    stems: dict[str, int] = {}
    stem = [stems.setdefault(word, len(stems)) for word in _stems(list(seen))]
    model = bm25s.BM25()
    model.index(([[stem[number] for number in words] for words in corpus], stems), show_progress=False)
    return Lexical(model)


def open_lexical(folder: Path, holdings: Holdings) -> Lexical:
    """The index of words that fits the holdings, kept in `folder`; made where there is none."""
    import bm25s

    place = folder / _NAME.format(holdings.fact("turn") or 0)
    if place.is_dir():
        try:
            return Lexical(bm25s.BM25.load(place, mmap=True, show_progress=False))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(place, ignore_errors=True)  # damaged
    found = build_lexical(searched(title, chunk.text) for chunk, title in holdings.each_chunk())
    _keep(found, folder, place)
    return found


def _keep(found: Lexical, folder: Path, place: Path) -> None:
    """Write the index beside its place and rename it, so that what is there is whole; older ones go."""
    for old in folder.glob(_NAME.format("*")):
        shutil.rmtree(old, ignore_errors=True)
    if found._model is None:
        return
    partial = place.with_name(place.name + ".partial")
    found._model.save(partial, show_progress=False)
    partial.replace(place)

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
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.chunks import searched
from rag.holdings import Holdings
from rag.index_folder import sync_files

_WORD = re.compile(r"[^\W_]+")
_NAME = "words-{}"
TITLE = 0.5
"""On search_relevance's 261 queries recall@10 is 0.67 without, 0.69 with this weight; a span of a text is found a
hundredth less often, a title four hundredths more often."""

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


class Words:
    """BM25 scores of texts, each known by its place. model: None where no text has a word."""

    def __init__(self, model: Any | None) -> None:
        self._model = model
        self._vocabulary: dict[str, int] = {} if model is None else model.vocab_dict

    def scores(self, words: Sequence[str]) -> NDArray[np.float32] | None:
        """The score of every text, 0 where it has none of the words; None where no text has any."""
        numbers = [self._vocabulary[word] for word in words if word in self._vocabulary]
        if self._model is None or not numbers:
            return None
        found: NDArray[np.float32] = self._model.get_scores_from_ids(numbers)
        return found

    def frequency(self, word: str) -> int:
        """In how many texts a word is."""
        number = self._vocabulary.get(word)
        if self._model is None or number is None:
            return 0
        ends = self._model.scores["indptr"]
        return int(ends[number + 1] - ends[number])

    def fits(self, texts: int) -> bool:
        """Whether it is of so many texts."""
        return self._model is None or bool(self._model.scores["num_docs"] == texts)

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder; nothing where there is nothing."""
        if self._model is not None:
            self._model.save(folder, show_progress=False)


class Lexical:
    """An index of pieces by their words. A word counts more where it is in the title, too: TITLE is the weight of the
    titles' own BM25 beside that of the pieces with their titles.
    """

    def __init__(self, pieces: Words, titles: Words) -> None:
        self._pieces, self._titles = pieces, titles

    def search(self, query: str, limit: int, mask: Mask | None = None) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Places and scores of the pieces that have a word of the query, best first, the earlier one of equals."""
        words = tokens(query)
        scores, more = self._pieces.scores(words), self._titles.scores(words)
        if scores is None:  # no piece has a word of it, so no title has
            return np.empty(0, np.intp), np.empty(0, np.float32)
        if more is not None:
            scores = scores + np.float32(TITLE) * more
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
        return [self._pieces.frequency(word) for word in words]

    def fits(self, pieces: int) -> bool:
        """Whether it is of so many pieces."""
        return self._pieces.fits(pieces) and self._titles.fits(pieces)

    def save(self, folder: Path) -> None:
        """Write the index to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._pieces.save(folder / "pieces")
        self._titles.save(folder / "titles")


def build_words(texts: Iterable[str]) -> Words:
    """Index texts, each by its place."""
    import bm25s  # type: ignore[import-untyped]

    seen: dict[str, int] = {}
    corpus = [[seen.setdefault(word, len(seen)) for word in _words(text)] for text in texts]
    if not seen:
        return Words(None)
    stems: dict[str, int] = {}
    stem = [stems.setdefault(word, len(stems)) for word in _stems(list(seen))]
    model = bm25s.BM25()
    model.index(([[stem[number] for number in words] for words in corpus], stems), show_progress=False)
    return Words(model)


def open_lexical(folder: Path, holdings: Holdings, writing: bool = False) -> Lexical:
    """The index of words that fits the holdings, kept in `folder`; made where there is none.

    writing: whether the caller is the one who writes the index, who alone sweeps old ones away: others read them.
    """
    place = folder / _NAME.format(holdings.fact("turn") or 0)
    found = _kept(place, holdings.counts()[1])
    if found is None:
        pieces = build_words(searched(title, chunk.text) for chunk, title in holdings.each_chunk())
        found = Lexical(pieces, build_words(title for _, title in holdings.each_chunk()))
        with suppress(OSError):  # it is in memory; whoever comes next makes it again
            _keep(found, place)
    if writing:
        for old in set(folder.glob(_NAME.format("*"))) - {place}:
            shutil.rmtree(old, ignore_errors=True)
    return found


def _kept(place: Path, pieces: int) -> Lexical | None:
    """The index that was kept in `place`; None where there is none, or a damaged one, or that of other pieces."""
    if not place.is_dir():
        return None
    try:
        found = Lexical(_load(place / "pieces"), _load(place / "titles"))
    except (OSError, EOFError, ValueError, KeyError):
        found = None
    if found is None or not found.fits(pieces):
        shutil.rmtree(place, ignore_errors=True)
        return None
    return found


def _keep(found: Lexical, place: Path) -> None:
    """Write an index to `place`, whole or not at all. One that another process has put there meanwhile is as good."""
    partial = place.with_name(f"{place.name}.{token_hex(4)}")
    try:
        found.save(partial)
        sync_files(partial)
        partial.replace(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _load(folder: Path) -> Words:
    import bm25s

    return Words(bm25s.BM25.load(folder, mmap=True, show_progress=False) if folder.is_dir() else None)

"""Vectors of texts, kept for when the same texts come again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rag.holdings import Vectors


class Kept:
    """Makes vectors and keeps those of the last `most` texts."""

    def __init__(self, make: Callable[[Sequence[str]], Vectors], most: int) -> None:
        self._make, self._most = make, most
        self._known: dict[str, Vectors] = {}

    def of(self, texts: Sequence[str]) -> Vectors:
        """A row for each text, of one at least; those that are not known are made together."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        made = dict(zip(unknown, self._make(unknown), strict=True)) if unknown else {}
        found = {text: made[text] if text in made else self._known[text] for text in texts}
        self.keep(list(found), list(found.values()))
        return np.stack([found[text] for text in texts])

    def keep(self, texts: Sequence[str], vectors: Sequence[Vectors] | Vectors) -> None:
        """Keep vectors that were made elsewhere."""
        for text, vector in zip(texts, vectors, strict=True):
            self._known.pop(text, None)
            self._known[text] = vector  # last, so that those that nobody asks for go first
        for text in list(self._known)[: max(0, len(self._known) - self._most)]:
            del self._known[text]

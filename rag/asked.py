"""What a question asks for, to tell which of a passage's lines answer it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rag.lexical import tokens
from rag.passages import Passage, held
from rag.qualities import asked_names, asked_qualities, ordinary
from rag.quotable import Quotable, figure
from rag.sentences import telling_words

_FEW = 3
"""Words of what asks for a quality and names no product."""


class Asked:
    """qualities: what a question asks for, such as a price. weights: its words. plain: without those by which a
    quality is asked for. other: those that do not mean the field that is called so.
    """

    def __init__(self, text: str, sources: Sequence[Quotable]) -> None:
        self.text, self.qualities, self.other = text, asked_qualities(text), ordinary(text)
        self.weights = _weights(words_of(text), [" ".join([one.title, *one.lines]) for one in sources])
        said = [found[0] for one in self.qualities for found in one.asked.finditer(text)]
        asking = {word for few in said if len(few.split()) <= _FEW for word in words_of(few)}
        asking |= frozenset[str]().union(*(one.names for one in self.qualities))
        self.plain = {word: 0.0 if word in asking else weight for word, weight in self.weights.items()}

    def facts(self, passage: Passage) -> list[str]:
        """The fields of a passage that hold what is asked for, as `price: 24.50`."""
        said = held(passage)
        return [figure(name, said[name]) for name in asked_names(self.text, self.qualities, said)]

    def has(self, line: str) -> int:
        """How many of the qualities that are asked for a line tells."""
        return sum(one.said.search(line) is not None for one in self.qualities)


def words_of(text: str) -> list[str]:
    """The telling words of a text as the search by words knows them: a gardener's is `garden`."""
    return list(dict.fromkeys(tokens(" ".join(telling_words(text)))))


def weight_of(weights: dict[str, float], text: str) -> float:
    return sum(weights.get(word, 0.0) for word in words_of(text))


def _weights(asked: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """The question's words, those that few passages have counting for more."""
    having = Counter(word for text in texts for word in words_of(text))
    return {word: math.log(1 + (len(texts) + 1) / (having[word] + 0.5)) for word in asked}

"""An answer with no model: the sentences of the best passages that have the question's words, each with its [n]."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rag.lexical import tokens
from rag.passages import Passage
from rag.sanitise import data
from rag.sentences import sentences, telling_words

_PASSAGES, _SENTENCES = 3, 2
"""Passages quoted at most, and sentences of each."""
_MOST_CHARS, _MOST_TITLE = 300, 90
_LEAST = 0.5
"""Share of the best score that another passage, or another line of the same, must have to be quoted too."""
_NAMED = 0.2
_RANKED = 0.3
"""What the first passage has for its rank, beside its share of the question's words; the n-th has an n-th of it. The
search compared meanings and not words alone: a passage that names the thing otherwise is not passed over for one that
shares a word.
"""


class _Line(NamedTuple):
    place: int
    text: str
    score: float


def extract(question: str, passages: Sequence[Passage]) -> str:
    """The answer, a line for each passage that is quoted; empty where there are none."""
    asked = _words(question)
    lines = [_lines(passage) for passage in passages]
    weights = _weights(asked, [" ".join([one.title, *said]) for one, said in zip(passages, lines, strict=True)])
    chosen = [_chosen(one, _beside(weights, passage)) for one, passage in zip(lines, passages, strict=True)]
    shares = [
        _score(weights, " ".join([passage.title, *(line.text for line in best)])) / (sum(weights.values()) or 1.0)
        for passage, best in zip(passages, chosen, strict=True)
    ]
    return "\n".join(_quoted(passages[place], chosen[place]) for place in _best(shares))


def _best(shares: Sequence[float]) -> list[int]:
    """Which passages are quoted, by the share of the question's words that each has, in order of rank."""
    scores = [share + _RANKED / rank for rank, share in enumerate(shares, 1)]
    least = _LEAST * max(scores, default=0.0)
    good = [place for place, score in enumerate(scores) if score >= least and (shares[place] > 0 or place == 0)]
    return good[:_PASSAGES]


def _words(text: str) -> list[str]:
    """The telling words of a text as the search by words knows them: a gardener's is `garden`."""
    return list(dict.fromkeys(tokens(" ".join(telling_words(text)))))


def _lines(passage: Passage) -> list[str]:
    """What may be quoted: sentences of the text, and figures as `price: 20`."""
    facts = [f"{name}: {data(str(value))}" for name, value in passage.metadata.items()]
    return [_cut(data(one), _MOST_CHARS) for one in sentences(passage.text)] + facts


def _weights(asked: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """The question's words, those that few passages have counting for more."""
    having = Counter(word for text in texts for word in _words(text))
    return {word: math.log(1 + (len(texts) + 1) / (having[word] + 0.5)) for word in asked}


def _beside(weights: dict[str, float], passage: Passage) -> dict[str, float]:
    """The same for the lines of one passage: its title names the product already, they are to say more."""
    named = set(_words(passage.title))
    return {word: weight * (_NAMED if word in named else 1.0) for word, weight in weights.items()}


def _score(weights: dict[str, float], text: str) -> float:
    return sum(weights.get(word, 0.0) for word in _words(text))


def _chosen(lines: Sequence[str], weights: dict[str, float]) -> list[_Line]:
    """The best lines of a passage in their order; its first where none has a word of the question."""
    scored = [_Line(place, line, _score(weights, line)) for place, line in enumerate(lines) if line]
    best = sorted(scored, key=lambda line: -line.score)[:_SENTENCES]
    kept = [line for line in best if line.score > 0 and line.score >= _LEAST * best[0].score]
    return sorted(kept or scored[:1])


def _quoted(passage: Passage, lines: Sequence[_Line]) -> str:
    title = _cut(data(passage.title), _MOST_TITLE)
    said = " ".join(line.text for line in lines if line.text != data(passage.title))
    return " ".join(filter(None, [f"{title}:" if said and title else title, said, f"[{passage.number}]"]))


def _cut(text: str, most: int) -> str:
    """The text, cut between words where it is longer than `most` characters."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0].rstrip(",;:") + "…"

"""An answer with no model: what the best passages say of what was asked, word for word, each with its [n].

A question about a price, a colour or the like is answered by the field that holds it. Else a sentence is the better the
more of the question's words it has, rare ones counting for more, and the nearer its meaning is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rag.lexical import tokens
from rag.passages import Passage, held
from rag.qualities import Quality, asked_names, asked_qualities
from rag.sanitise import data
from rag.sentences import sentences, telling_words

Near = Callable[[str, Sequence[str]], Sequence[float]]
"""A question, texts -> the cosine similarity of each to it."""

_PASSAGES, _SENTENCES = 3, 2
"""Passages quoted at most, and sentences of each."""
_MOST_CHARS, _MOST_TITLE = 300, 90
_MOST_LINES = 60
"""Lines that are compared by meaning: some hundredths of a second."""
_FEW = 3
"""Words of a value that is no sentence, and of what asks for a quality and names no product."""
_LEAST = 0.5
"""Share of the best score that another passage, or another line of the same, must have to be quoted too."""
_FOUND = 0.7
"""Share of the first passage's score in the search that another one must have."""
_NAMED = 0.2
_NAMELY = 0.9
"""Share of the best passage's words that another one needs for a field of it to be quoted."""
_MEANING = 0.6
"""Weight of the cosine in a line's score; the rest is that of the words."""
_LONG = 6
"""Telling words of a line that is no scrap."""
_RANKED = 0.3
"""What the first passage has for its rank, beside its share of the question's words; the n-th has an n-th of it. The
search compared meanings and not words alone: a passage that names the thing otherwise is not passed over for one that
shares a word.
"""
_BULLET = re.compile(r"\A(?:[-*+•·▪●◦‣–—]\s+)+")
_ENDS = (".", "!", "?", "…", "。", "！", "？", ":", ";")


class _Line(NamedTuple):
    """score: how much it says of what was asked. words: the part of it that shared words make."""

    place: int
    text: str
    score: float
    words: float


class _Question:
    """What a question asks for. weights: its words. asked: qualities, such as a price."""

    def __init__(self, question: str, texts: Sequence[str]) -> None:
        self.text = question
        self.asked = asked_qualities(question)
        self.weights = _weights(_words(question), texts)

    def facts(self, passage: Passage) -> list[str]:
        """The fields of a passage that hold what is asked for, as `price: 24.50`."""
        said = held(passage)
        return [f"{name}: {data(said[name])}" for name in asked_names(self.text, self.asked, said)]

    def without_asking(self, weights: dict[str, float]) -> dict[str, float]:
        """Without the words by which a quality is asked for: a field has said it."""
        said = [found[0] for one in self.asked for found in one.asked.finditer(self.text)]
        asking = {word for few in said if len(few.split()) <= _FEW for word in _words(few)}
        names = frozenset[str]().union(*(one.names for one in self.asked))
        return {word: 0.0 if word in asking or word in names else weight for word, weight in weights.items()}


def extract(question: str, passages: Sequence[Passage], near: Near | None = None) -> str:
    """The answer, a line for each passage that is quoted; empty where there are none. near: where it can be asked, what
    a sentence means counts beside its words.
    """
    lines = [_lines(passage) for passage in passages]
    asked = _Question(question, [" ".join([one.title, *said]) for one, said in zip(passages, lines, strict=True)])
    meanings = _meanings(question, lines, near)
    facts = [asked.facts(passage) for passage in passages]
    chosen = [
        _answer(asked, passage, fact, said, meaning)
        for passage, fact, said, meaning in zip(passages, facts, lines, meanings, strict=True)
    ]
    weights = asked.without_asking(asked.weights) if any(facts) else asked.weights
    shares = [
        _score(weights, " ".join([passage.title, *best])) / (sum(weights.values()) or 1.0)
        for passage, best in zip(passages, chosen, strict=True)
    ]
    good = _best(shares, [passage.score for passage in passages])
    if asked.asked or any(facts):  # a price, say: that of the product that was named and of no other
        good = [place for place in good if shares[place] >= _NAMELY * max(shares[one] for one in good)]
    return "\n".join(_quoted(passages[place], chosen[place]) for place in good)


def _best(shares: Sequence[float], found: Sequence[float]) -> list[int]:
    """Which passages are quoted, by the share of the question's words that each has, in order of rank. found: the
    scores of the search: one that lies far below the first has a word of the question and little else.
    """
    scores = [share + _RANKED / rank for rank, share in enumerate(shares, 1)]
    least = _LEAST * max(scores, default=0.0)
    shared = all(0 <= one <= 1 for one in found)  # those of a re-ranking model may be of any kind
    least_found = _FOUND * max(found, default=0.0) if shared else -math.inf
    good = [
        place
        for place, score in enumerate(scores)
        if score >= least and (place == 0 or (shares[place] > 0 and found[place] >= least_found))
    ]
    return good[:_PASSAGES]


def _words(text: str) -> list[str]:
    """The telling words of a text as the search by words knows them: a gardener's is `garden`."""
    return list(dict.fromkeys(tokens(" ".join(telling_words(text)))))


def _lines(passage: Passage) -> list[str]:
    """What may be quoted: sentences of the text, and then figures."""
    figures, values = _figures(passage), {data(text) for text in held(passage).values() if _is_value(text)}
    said = (_BULLET.sub("", data(one)) for one in sentences(passage.text))
    return [*(_cut(one, _MOST_CHARS) for one in said if one and one not in values), *figures]


def _figures(passage: Passage) -> list[str]:
    """What the document says in few words under a name, as `price: 20`."""
    return [
        f"{name}: {data(text)}"
        for name, text in held(passage).items()
        if name in passage.metadata or (_is_value(text) and text in passage.text)
    ]


def _is_value(text: str) -> bool:
    return len(text.split()) <= _FEW and not text.endswith(_ENDS)


def _meanings(question: str, lines: Sequence[Sequence[str]], near: Near | None) -> list[list[float] | None]:
    """How near each line of the best passages is to the question; None of the rest, and where nobody can say."""
    read = next((place for place in range(len(lines)) if sum(map(len, lines[: place + 1])) > _MOST_LINES), len(lines))
    texts = [line for said in lines[:read] for line in said]
    if near is None or not texts:
        return [None] * len(lines)
    found = iter(near(question, texts))
    return [
        [max(0.0, next(found)) * _weight(line) for line in said] if place < read else None
        for place, said in enumerate(lines)
    ]


def _weight(line: str) -> float:
    """Of a line's meaning: the vector of two or three words is near to much that it says nothing of."""
    return 0.7 + 0.3 * min(1.0, len(telling_words(line)) / _LONG)


def _weights(asked: Sequence[str], texts: Sequence[str]) -> dict[str, float]:
    """The question's words, those that few passages have counting for more."""
    having = Counter(word for text in texts for word in _words(text))
    return {word: math.log(1 + (len(texts) + 1) / (having[word] + 0.5)) for word in asked}


def _beside(weights: dict[str, float], passage: Passage, share: float) -> dict[str, float]:
    """The same for the lines of one passage: its title names the product already, they are to say more."""
    named = set(_words(passage.title))
    return {word: weight * (share if word in named else 1.0) for word, weight in weights.items()}


def _score(weights: dict[str, float], text: str) -> float:
    return sum(weights.get(word, 0.0) for word in _words(text))


def _answer(
    asked: _Question, passage: Passage, facts: Sequence[str], lines: Sequence[str], meanings: Sequence[float] | None
) -> list[str]:
    """What a passage is quoted with: the fields asked for and what else answers the question, else its best lines."""
    if not facts:
        texts = len(lines) - len(_figures(passage))
        return _chosen(lines, texts, _beside(asked.weights, passage, _NAMED), asked.asked, meanings)
    weights = _beside(asked.without_asking(asked.weights), passage, 0.0)
    enough = _LEAST * sum(weights.values())
    more = [line for line in lines if line not in facts and enough and _score(weights, line) >= enough]
    return [*facts, *more[:1]]


def _chosen(
    lines: Sequence[str],
    texts: int,
    weights: dict[str, float],
    asked: Sequence[Quality],
    meanings: Sequence[float] | None,
) -> list[str]:
    """The best lines of a passage in their order; its first where nothing tells one from another. texts: how many are
    sentences; the rest are figures, which mean nothing but what they are called.
    """
    most = max(weights.values(), default=0.0) or 1.0
    total = (sum(weights.values()) + most * len(asked)) or 1.0
    scored = []
    for place, line in enumerate(lines):
        words = (_score(weights, line) + most * sum(one.said.search(line) is not None for one in asked)) / total
        meaning = words if meanings is None or place >= texts else meanings[place]
        scored.append(_Line(place, line, _MEANING * meaning + (1 - _MEANING) * words, words))
    best = sorted(scored, key=lambda line: -line.score)
    kept = [line for line in best[:_SENTENCES] if line.score > 0 and _stays(line, best[0])]
    if kept and kept[0].place >= texts > 0:  # a brand alone: say what it is, too
        kept = [next(line for line in best if line.place < texts), kept[0]]
    return [line.text for line in sorted(kept or scored[:1])]


def _stays(line: _Line, best: _Line) -> bool:
    """Whether a line is quoted beside the best one: it must share words with the question, too."""
    return line == best or (line.words > 0 and line.score >= _LEAST * best.score and line.words >= _LEAST * best.words)


def _quoted(passage: Passage, lines: Sequence[str]) -> str:
    title = _cut(data(passage.title), _MOST_TITLE)
    kept = [line for line in lines if line != data(passage.title)]
    parts = [line if line.endswith(_ENDS) or line is kept[-1] else f"{line};" for line in kept]
    said = " ".join(parts)
    return " ".join(filter(None, [f"{title}:" if said and title else title, said, f"[{passage.number}]"]))


def _cut(text: str, most: int) -> str:
    """The text, cut between words where it is longer than `most` characters."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0].rstrip(",;:") + "…"

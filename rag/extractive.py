"""An answer with no model: what the best passages say of what was asked, word for word, each with its [n].

A question about a price, a colour or the like is answered by the field that holds it. Else a sentence is the better the
more of the question's words it has, rare ones counting for more, and the nearer its meaning is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from rag.asked import Asked, weight_of, words_of
from rag.lexical import tokens
from rag.names import called, codes, whole_names
from rag.passages import Passage
from rag.quotable import ENDS, Quotable, quotable, warns
from rag.sanitise import data
from rag.sentences import telling_words

Near = Callable[[str, Sequence[str]], Sequence[float]]
"""A question, texts -> the cosine similarity of each to it."""

_PASSAGES, _SENTENCES, _WARNINGS, _FIGURES = 3, 2, 2, 8
"""Passages quoted at most; of each, sentences, those beside them that warn, and figures of one that is asked for by its
number alone.
"""
_LEAST = 0.5
"""Share of the best score that another passage, or another line of the same, must have to be quoted too."""
_FOUND, _NAMELY = 0.7, 0.9
"""Shares of the first passage's score in the search, and, for a price or the like, of the most words of the question,
that another passage must have.
"""
_COMPARES = re.compile(r"\b(?:or|and|both|than|versus|vs|compared?|difference)\b", re.IGNORECASE)
"""In a question about more than one product."""
_SIDES = re.compile(r"\b(?:compare[ds]?|comparison|versus|vs|difference|between)\b", re.IGNORECASE)
_ANY = re.compile(r"\b(?:do|does|have|sell|there|any|which)\b", re.IGNORECASE)
"""In a question for whatever there is of a kind: what it is is enough."""
_ABOUT = frozenset(tokens("describe description explain information info details overview"))
_NAMED = 0.2
"""What a word of the title counts for in a line of its passage."""
_MEANING = 0.6
"""Weight of the cosine in a line's score; the rest is that of the words."""
_MOST_TEXTS = 12
"""Sentences that are compared by their meaning, of all passages together: tenths of a second."""
_LONG = 6
"""Telling words of a line that is no scrap."""
_RANKED = 0.3
"""What the first passage has for its rank, beside its share of the question's words; the n-th has an n-th of it. The
search compared meanings and not words alone: a passage that names the thing otherwise is not passed over for one that
shares a word.
"""


class _Line(NamedTuple):
    """score: how much it says of what was asked. words: the part of it that shared words make."""

    place: int
    text: str
    score: float
    words: float


def extract(question: str, passages: Sequence[Passage], near: Near | None = None) -> str:
    """The answer, a line for each passage that is quoted; empty where there are none. near: where it can be asked, what
    a sentence means counts beside its words, in a passage whose words do not answer.
    """
    sources = [quotable(passage) for passage in passages]
    if alone := called(whole_names(question), passages):
        return "\n".join(_quoted(sources[place], _all_of(sources[place])) for place in alone[:_PASSAGES])
    asked = Asked(question, sources)
    facts = [asked.facts(passage) for passage in passages]
    chosen = [_answer(asked, one, fields) for one, fields in zip(sources, facts, strict=True)]
    named = called(codes(question), passages)
    good = named[:_PASSAGES] if len(named) > 1 else _best(asked, sources, chosen, any(facts))
    read = _few([place for place in good if not facts[place] and _is_open(asked, sources[place])], sources)
    for place, meanings in zip(read, _meanings(question, [sources[place] for place in read], near), strict=False):
        chosen[place] = _chosen(asked, sources[place], meanings)
    if asked.qualities and not any(_beside_title(sources[place], chosen[place]) for place in good):
        return ""  # a title is no price
    for place in [] if asked.qualities else [place for place in good if not facts[place]]:
        chosen[place] = _warned(asked, sources[place], chosen[place])
    return "\n".join(_quoted(sources[place], chosen[place]) for place in good)


def _all_of(source: Quotable) -> list[str]:
    """Figures and text of a document that is asked for by its number alone."""
    texts = source.texts if source.short else source.texts[:_SENTENCES]
    return [*source.figures[:_FIGURES], *texts]


def _warned(asked: Asked, source: Quotable, lines: Sequence[str]) -> list[str]:
    """The lines with those that may limit what they say: of a long text such as share words with the question."""
    more = [
        text
        for text in source.texts
        if text not in lines and warns(text) and (source.short or weight_of(asked.weights, text) > 0)
    ][:_WARNINGS]
    return [line for line in dict.fromkeys(source.lines) if line in lines or line in more] if more else list(lines)


def _best(asked: Asked, sources: Sequence[Quotable], chosen: Sequence[Sequence[str]], facts: bool) -> list[int]:
    """Which passages are quoted, by the share of the question's words that each has, in order of rank. One that lies
    far below the first in the search has a word of the question and little else.
    """
    weights = asked.plain if facts else asked.weights
    total = sum(weights.values()) or 1.0
    shares = [
        weight_of(weights, " ".join([one.title, *lines])) / total for one, lines in zip(sources, chosen, strict=True)
    ]
    scores = [share + _RANKED / rank for rank, share in enumerate(shares, 1)]
    least = _LEAST * max(scores, default=0.0)
    found = [one.passage.score for one in sources]
    alike = all(0 <= one <= 1 for one in found)  # those of a re-ranking model may be of any kind
    least_found = _FOUND * max(found, default=0.0) if alike else -math.inf
    good = [
        place
        for place, score in enumerate(scores)
        if score >= least and (place == 0 or (shares[place] > 0 and found[place] >= least_found))
    ][:_PASSAGES] or [0][: len(scores)]
    if (asked.qualities or facts) and not _COMPARES.search(asked.text):  # of the product that was named and of no other
        good = [place for place in good if shares[place] >= _NAMELY * max(shares[one] for one in good)]
    return _sides(asked, sources, good) if _SIDES.search(asked.text) else good


def _sides(asked: Asked, sources: Sequence[Quotable], good: Sequence[int]) -> list[int]:
    """These passages and others that are compared with them: whose title has a word of the question that theirs have
    not.
    """
    sides = list(good)
    known = {word for place in good for word in words_of(sources[place].passage.title)}
    for place, one in enumerate(sources):
        own = asked.weights.keys() & words_of(one.passage.title)
        if len(sides) < _PASSAGES and place not in sides and not own <= known:
            sides.append(place)
            known |= own
    return sorted(sides)


def _meanings(question: str, sources: Sequence[Quotable], near: Near | None) -> list[list[float]]:
    """How near each sentence of each passage is to the question; empty where nobody can say."""
    texts = [text for one in sources for text in one.texts]
    if near is None or not texts:
        return []
    found = iter(near(question, texts))
    return [[max(0.0, next(found)) * _substance(text) for text in one.texts] for one in sources]


def _substance(line: str) -> float:
    """What its meaning is worth: the vector of two or three words is near to much that it says nothing of."""
    return 0.7 + 0.3 * min(1.0, len(telling_words(line)) / _LONG)


def _beside(weights: dict[str, float], passage: Passage, share: float) -> dict[str, float]:
    """The same for the lines of one passage: its title names the product already, they are to say more."""
    named = set(words_of(passage.title))
    return {word: weight * (share if word in named else 1.0) for word, weight in weights.items()}


def _answer(asked: Asked, source: Quotable, facts: Sequence[str]) -> list[str]:
    """What a passage is quoted with: the fields asked for and what else answers the question, else its best lines."""
    if not facts:
        return _chosen(asked, source)
    weights = _beside(asked.plain, source.passage, 0.0)
    enough = _LEAST * sum(weights.values())
    more = [line for line in source.lines if line not in facts and enough and weight_of(weights, line) >= enough]
    return [*facts, *more[:1]]


def _chosen(asked: Asked, source: Quotable, meanings: Sequence[float] = ()) -> list[str]:
    """The best lines of a passage in their order; its first where nothing tells one from another. meanings: of its
    sentences, where they are known; a figure means nothing but what it is called.
    """
    if _of_title(asked, source):
        return source.texts[: 1 if _ANY.search(asked.text) else _SENTENCES]
    words = _shared(asked, source)
    scored = []
    for place, line in enumerate(source.lines):
        meaning = meanings[place] if place < len(meanings) else words[place]
        scored.append(_Line(place, line, _MEANING * meaning + (1 - _MEANING) * words[place], words[place]))
    best = sorted(scored, key=lambda line: -line.score)
    kept = [line for line in best[:_SENTENCES] if line.score > 0 and _stays(line, best[0])]
    if kept and kept[0].place >= len(source.texts) > 0:  # a brand alone: say what it is, too
        kept = [next(line for line in best if line.place < len(source.texts)), kept[0]]
    return [line.text for line in sorted(kept or scored[:1])]


def _of_title(asked: Asked, source: Quotable) -> bool:
    """Whether a question asks for no more than what is called so: then its text is read from the beginning."""
    words = asked.weights.keys() - _ABOUT
    return bool(words and source.texts) and not asked.qualities and words <= set(words_of(source.passage.title))


def _shared(asked: Asked, source: Quotable) -> list[float]:
    """The share of what is asked for that each line has in words."""
    weights = _beside(asked.weights, source.passage, _NAMED)
    most = max(weights.values(), default=0.0) or 1.0
    total = (sum(weights.values()) + most * len(asked.qualities)) or 1.0
    elsewhere = {word: 0.0 if word in asked.other else weight for word, weight in weights.items()}
    lines = [*((weights, line) for line in source.texts), *((elsewhere, line) for line in source.figures)]
    return [(weight_of(known, line) + most * asked.has(line)) / total for known, line in lines]


def _is_open(asked: Asked, source: Quotable) -> bool:
    """Whether no line has half of what is asked for, and there are not too many to be compared by their meaning."""
    if _of_title(asked, source):
        return False
    return 0 < len(source.texts) <= _MOST_TEXTS and max(_shared(asked, source)) < _LEAST


def _few(places: Sequence[int], sources: Sequence[Quotable]) -> list[int]:
    """The first of these passages that have no more sentences together than can be compared."""
    totals = accumulate(len(sources[place].texts) for place in places)
    return [place for place, total in zip(places, totals, strict=True) if total <= _MOST_TEXTS]


def _stays(line: _Line, best: _Line) -> bool:
    """Whether a line is quoted beside the best one: it must share words with the question, too."""
    return line == best or (line.words > 0 and line.score >= _LEAST * best.score and line.words >= _LEAST * best.words)


def _beside_title(source: Quotable, lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line != data(source.passage.title)]


def _quoted(source: Quotable, lines: Sequence[str]) -> str:
    kept = _beside_title(source, lines)
    said = " ".join([line if line.endswith(ENDS) else f"{line};" for line in kept[:-1]] + kept[-1:])
    begin = f"{source.title}:" if said and source.title else source.title
    return " ".join(filter(None, [begin, said, f"[{source.passage.number}]"]))

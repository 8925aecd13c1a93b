"""What of a passage may be quoted: the sentences of its text, and what its document says in few words under a name."""

from __future__ import annotations

import re
from typing import NamedTuple

from rag.passages import Passage, held
from rag.sanitise import data
from rag.sentences import sentences

ENDS = (".", "!", "?", "…", "。", "！", "？", ":", ";")
"""What a line ends with after which another may follow."""
_MOST_CHARS, _MOST_TITLE, _MOST_WORDS = 300, 90, 3
"""Characters of a sentence and of a title; words of a value that is no sentence."""
_SHORT_TEXTS, _SHORT_CHARS = 4, 300
"""Sentences, or characters, of a text that is short."""
_WARNS = re.compile(
    r"\b(?:not(?! only\b)|never|cannot|(?:ca|do|does|is|are|must|should)n['’]t|except|unless|contains?|allerg\w*|"
    r"traces of|warning|caution|danger\w*|keep (?:away|out)|unsuitable|irritat\w*|"
    r"(?:kitchen|facility|factory|bakery) (?:that|which|where))\b",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\A(?:[-*+•·▪●◦‣–—]\s+)+")


class Quotable(NamedTuple):
    """texts: sentences, without the bullets of a list. figures: such as `price: 20`."""

    passage: Passage
    title: str
    texts: list[str]
    figures: list[str]

    @property
    def lines(self) -> list[str]:
        """All of it."""
        return [*self.texts, *self.figures]

    @property
    def short(self) -> bool:
        """Whether its text is read at a glance."""
        return len(self.texts) <= _SHORT_TEXTS or sum(map(len, self.texts)) <= _SHORT_CHARS


def quotable(passage: Passage) -> Quotable:
    """What may be quoted of a passage, as data and of a length that is read at a glance."""
    named = held(passage)
    values = {data(text) for text in named.values() if _is_value(text)}
    said = (_BULLET.sub("", data(one)) for one in sentences(passage.text))
    texts = [_cut(one, _MOST_CHARS) for one in said if one and one not in values]
    figures = [
        figure(name, text)
        for name, text in named.items()
        if name in passage.metadata or (_is_value(text) and text in passage.text)
    ]
    return Quotable(passage, _cut(data(passage.title), _MOST_TITLE), texts, figures)


def warns(text: str) -> bool:
    """Whether a sentence may limit what another one promises."""
    return _WARNS.search(text) is not None


def figure(name: str, text: str) -> str:
    """What a document says under a name."""
    return _cut(f"{name}: {data(text)}", _MOST_CHARS)


def _is_value(text: str) -> bool:
    return len(text.split()) <= _MOST_WORDS and not text.endswith(ENDS)


def _cut(text: str, most: int) -> str:
    """The text, cut between words where it is longer than `most` characters."""
    return text if len(text) <= most else text[:most].rpartition(" ")[0].rstrip(",;:") + "…"

"""A document -> the pieces that get a vector each.

A piece is embedded and searched with its document's title before it, since a paragraph alone seldom says what it is
about; what is kept and shown as its text is without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag.documents import Document

Spans = Sequence[tuple[int, int]]
"""Where each token of a text begins and ends, in characters."""

_STOP = re.compile(r"[.!?][\"')\]]*\s|\n")
"""Where a sentence ends."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """id: made from what is embedded, so that the same text always has the same one. place: from 0 on."""

    id: str
    document: str
    place: int
    text: str


def cut_document(
    document: Document, settings: str, tokens: int, overlap: int, spans: Callable[[str], Spans]
) -> list[Chunk]:
    """The pieces of a document, of `tokens` at most with the title, neighbours sharing `overlap`; at least one.

    spans: the tokens of a text. A title takes half of a piece at most; of a longer one the rest counts as body.
    """
    head, body = heading(document.title, tokens, spans), document.body
    if head != document.title:
        body = f"{document.title}\n{body}" if body else document.title
    room = max(2, tokens - len(spans(head)))  # one letter of a title may be many tokens
    name = document.text_digest(settings)
    pieces = windows(body, spans(body), room, min(overlap, room // 2))
    texts = [body[begin:end] for begin, end in pieces if end > begin]
    return [Chunk(f"{name}-{place}", document.id, place, text) for place, text in enumerate(texts or [document.title])]


def searched(title: str, text: str) -> str:
    """What is embedded and searched of a piece."""
    return f"{title}\n{text}" if title and text != title else text


def heading(title: str, tokens: int, spans: Callable[[str], Spans]) -> str:
    """As much of a title as stands before each piece."""
    found = spans(title)
    return title if len(found) <= tokens // 2 else title[: found[tokens // 2 - 1][1]]


def windows(text: str, spans: Spans, tokens: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Cut a text into pieces of `tokens` at most, each (begin, end) in characters, without white space at its ends.

    overlap: tokens, half of `tokens` at most. A cut falls behind the last sentence that ends in a piece's second half,
    else between words; every character that is not white space lies in some piece.
    """
    first = begin = 0
    while len(spans) - first > tokens:
        end = _cut(text, spans[first + tokens // 2][0], spans[_last(spans, first, tokens)][1])
        following = next((at for at in range(first + 1, len(spans)) if spans[at][1] > end), None)
        if following is None:
            break
        yield _trimmed(text, begin, end)
        first = _word_start(text, spans, max(first + 1, following - overlap), following)
        begin = min(spans[first][0], end)
    yield _trimmed(text, begin, len(text))


def _last(spans: Spans, first: int, tokens: int) -> int:
    """The last of so many tokens that does not end within a letter: an emoji may be several tokens of one place."""
    last = first + tokens - 1
    while last > first and spans[last + 1][0] < spans[last][1]:
        last -= 1
    return first + tokens - 1 if spans[last + 1][0] < spans[last][1] else last


def _cut(text: str, middle: int, end: int) -> int:
    """Where to cut between `middle` and `end`, the end of the last token that has room."""
    stops = [stop.end() for stop in _STOP.finditer(text, middle, end)]
    if stops:
        return stops[-1]
    if end < len(text) and not text[end].isspace():
        space = max(text.rfind(" ", middle, end), text.rfind("\n", middle, end))
        return end if space < 0 else space
    return end


def _word_start(text: str, spans: Spans, at: int, most: int) -> int:
    """The first token from `at`, which is not the first of all, that begins a word; `most` at the latest."""
    while at < most and (spans[at][0] == spans[at - 1][0] or not text[spans[at][0] - 1].isspace()):
        at += 1
    return at


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    return begin, end

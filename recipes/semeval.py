"""SemEval's XML files of aspect-based sentiment, as records {id, text, aspects}: what a table of gold tuples has.

2014 (rest14, laptop14; SCAPT's version says implicit_sentiment of each term):

    <sentence id="..."><text>...</text>
      <aspectTerms><aspectTerm term="" polarity="" from="" to=""/></aspectTerms>
      <aspectCategories><aspectCategory category="" polarity=""/></aspectCategories></sentence>

2015 and 2016 (rest16, laptop16), sentences inside reviews; a target of NULL is a category that no term stands for:

    <sentence id="..."><text>...</text>
      <Opinions><Opinion target="" category="" polarity="" from="" to=""/></Opinions></sentence>

A document type is refused before any of its entities is read (entities that grow, entities that name files).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from xml.parsers import expat

from recipes.errors import SourceError

_BLOCK = 1 << 16
TUPLES = {"aspectTerm": "term", "aspectCategory": "category", "Opinion": "opinion"}
"""Element of one tuple -> what it is."""
Found = tuple[int, dict[str, Any]]
WHERE_FROM = (
    "SemEval's files are had from their organisers, whose licences forbid to ship them (2014: "
    "https://alt.qcri.org/semeval2014/task4, 2016: https://alt.qcri.org/semeval2016/task5): put the file at this path"
)
"""What to do where one is not there."""


class _NoTable(Exception):
    """Why a file is not read."""


class _Sentences:
    """What has been read of a file; `ready` are the sentences that came to their end."""

    def __init__(self) -> None:
        self.ready: list[Found] = []
        self.seen: dict[str, int] = {}
        self.sentence: dict[str, Any] | None = None
        self.line = 0
        self.text: list[str] | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _doctype(self, *_: object) -> None:
        raise _NoTable("it has a document type (<!DOCTYPE ...>), which may hide entities: take that line out")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sentence":
            self.line = self.parser.CurrentLineNumber
            self.sentence = {"id": attributes.get("id", ""), "text": "", "aspects": []}
        elif self.sentence is not None and name == "text":
            self.text = []
        elif self.sentence is not None and name in TUPLES:
            self.sentence["aspects"].append({**attributes, "kind": TUPLES[name]})

    def _characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def _end(self, name: str) -> None:
        if self.sentence is None:
            return
        if name == "text" and self.text is not None:
            self.sentence["text"], self.text = "".join(self.text), None
        elif name == "sentence":
            self._check_id(self.sentence["id"])
            self.ready.append((self.line, self.sentence))
            self.sentence = None

    def _check_id(self, name: str) -> None:
        if name in self.seen:
            message = f"line {self.line}: the sentence id {name!r} stands in line {self.seen[name]} too"
            raise _NoTable(message)
        if name:  # MAMS has none
            self.seen[name] = self.line


def read_semeval(raw: IO[bytes], path: object) -> Iterator[Found]:
    """Yield (line, record) of every sentence. Raises SourceError for what is no XML, and for a file of no sentences."""
    found = _Sentences()
    count = 0
    while True:
        block = raw.read(_BLOCK)
        try:
            found.parser.Parse(block, not block)
        except expat.ExpatError as error:
            message = expat.errors.messages[error.code]
            raise SourceError(f"{path}:{error.lineno}: not XML: {message} (at place {error.offset + 1})") from None
        except _NoTable as problem:
            raise SourceError(f"{path}: {problem}") from None
        yield from found.ready
        count += len(found.ready)
        found.ready.clear()
        if not block:
            break
    if not count:
        raise SourceError(f"{path}: has no <sentence>: a SemEval file of 2014 to 2016 has one for every text")

"""What a search found: passages, and whether the catalogue answers the question at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_FIELD = 120
"""Characters of a field that is a fact and no text."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, as an answer may cite it.

    number: the n of `[n]`, from 1 in the order of rank. chunk, document: ids. text: what was found. fields, metadata,
    link, written: the whole document's. score: higher is better; comparable within one search only.
    """

    number: int
    chunk: str
    document: str
    title: str
    text: str
    fields: Mapping[str, str]
    metadata: Mapping[str, str | int | float | bool]
    link: str | None
    score: float
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, str]:
        """The metadata as they are shown."""
        return {name: self.written.get(name, str(value)) for name, value in self.metadata.items()}


def held(passage: Passage) -> dict[str, str]:
    """What a passage's document says by name: its metadata, and those of its fields that are no text."""
    fields = list(passage.fields.items())[1:]
    return {name: text for name, text in fields if 0 < len(text) <= MOST_FIELD} | passage.facts


@dataclass(frozen=True, slots=True)
class Found:
    """One search. query: what was searched for. confidence: probability that the catalogue answers it; answerable:
    whether that is enough.
    """

    query: str
    passages: tuple[Passage, ...]
    confidence: float
    answerable: bool

"""What a search found: passages, and whether the catalogue answers the question at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, as an answer may cite it.

    number: the n of `[n]`, from 1 in the order of rank. chunk, document: ids. text: what was found. fields, metadata,
    link: the whole document's. score: higher is better; comparable within one search only.
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


@dataclass(frozen=True, slots=True)
class Found:
    """One search. query: what was searched for. confidence: probability that the catalogue answers it; answerable:
    whether that is enough.
    """

    query: str
    passages: tuple[Passage, ...]
    confidence: float
    answerable: bool

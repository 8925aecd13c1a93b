"""A document of the catalogue, as a plain value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import orjson

Value = str | int | float | bool
"""What metadata may be."""


@dataclass(frozen=True, slots=True)
class Document:
    """id: its name in the catalogue. fields: what is searched and shown, in the recipe's order; the first is the title.

    metadata: what answers can be filtered by; a name without a value is left out. link: address of its page.
    written: numbers of the metadata that the catalogue writes otherwise than Python does: 24.50.
    """

    id: str
    title: str
    fields: dict[str, str]
    metadata: dict[str, Value]
    link: str | None = None
    written: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        """The fields after the title, one below the other."""
        return "\n".join(text for text in list(self.fields.values())[1:] if text)

    def digest(self, settings: str) -> str:
        """What changes as soon as anything about the document does. settings: how it is cut and embedded."""
        return _sha(
            [settings, self.id, self.fields, self.metadata, self.link, *([self.written] if self.written else [])]
        )

    def text_digest(self, settings: str) -> str:
        """What changes when its vectors do: a new price costs no embedding."""
        return _sha([settings, self.id, self.title, self.body])


def _sha(value: list[object]) -> str:
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:32]

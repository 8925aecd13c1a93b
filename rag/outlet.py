"""What leaves: the pieces that a model writes, its thoughts kept apart, with all that could do harm taken out.

    Characters -> Thoughts -> (answer and thoughts each) Citations -> Links -> Seal

Every step takes a text as it comes, holds back a bounded part of it, and gives the same whole however it was cut.
"""

from __future__ import annotations

from collections.abc import Collection

from rag.citations import Citations, find_citations
from rag.links import Links
from rag.sanitise import Characters
from rag.seal import Seal
from rag.speakers import Piece
from rag.thoughts import Thoughts


class _Channel:
    """One text on its way out."""

    def __init__(self, numbers: Collection[int], links: Collection[str]) -> None:
        self.citations, self.links, self._seal = Citations(numbers), Links(links), Seal()

    def feed(self, text: str) -> str:
        return self._seal.feed(self.links.feed(self.citations.feed(text)))

    def close(self) -> str:
        last = self.links.feed(self.citations.close()) + self.links.close()
        return self._seal.feed(last) + self._seal.close()


class Outlet:
    """Takes a model's pieces, gives those that may be shown.

    numbers: what may be cited; links: addresses that may stay.
    """

    def __init__(self, numbers: Collection[int], links: Collection[str]) -> None:
        self._allowed = (frozenset(numbers), frozenset(links))
        self._answer, self._thought = _Channel(*self._allowed), _Channel(*self._allowed)
        self._characters, self._aloud, self._tags = Characters(), Characters(), Thoughts()
        self._stripped = 0
        self._shown: list[str] = []

    @property
    def response(self) -> str:
        """All that was shown of the answer so far."""
        return "".join(self._shown)

    @property
    def cited(self) -> tuple[int, ...]:
        """Numbers that the answer cites so far, in order, each once."""
        return find_citations(self.response)

    @property
    def invented(self) -> int:
        """Citations of the answer that were taken out."""
        return self._answer.citations.invented

    @property
    def stripped(self) -> int:
        """Links, images and markup that were taken out, of thoughts too."""
        return self._stripped + self._answer.links.stripped + self._thought.links.stripped

    def feed(self, piece: Piece) -> list[Piece]:
        if piece.thought:
            return self._said([(True, self._aloud.feed(piece.text))])
        return self._told(self._characters.feed(piece.text))

    def close(self) -> list[Piece]:
        """The rest, once the model has ended."""
        pieces = self._said([(True, self._aloud.close())]) + self._told(self._characters.close())
        self._tags.close()
        pieces += self._said(self._tags.parts) + self._thought_over()
        rest = self._answer.close()
        self._shown.append(rest)
        return pieces + ([Piece(rest)] if rest else [])

    def _told(self, text: str) -> list[Piece]:
        self._tags.feed(text)
        parts, self._tags.parts = self._tags.parts, []
        return self._said(parts)

    def _said(self, parts: list[tuple[bool, str]]) -> list[Piece]:
        pieces: list[Piece] = []
        for thought, text in parts:
            if not thought and text.strip():
                pieces += self._thought_over()
            shown = (self._thought if thought else self._answer).feed(text)
            if not thought:
                self._shown.append(shown)
            if shown:
                pieces.append(Piece(shown, thought))
        return pieces

    def _thought_over(self) -> list[Piece]:
        """The rest of a thought, where the answer goes on."""
        rest, self._stripped = self._thought.close(), self.stripped - self._answer.links.stripped
        self._thought = _Channel(*self._allowed)
        return [Piece(rest, True)] if rest else []

"""Filters of a text that comes in pieces. However it is cut, what comes out is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod

CITE, CITED = "\ue000", "\ue001"
"""Stand for the brackets of a citation that was checked, until `Seal` writes them."""
CODE, CODED = "\ue002", "\ue003"
"""The same for an index in code, such as `a[1]`."""
LINK, LINKED = "\ue004", "\ue005"
"""Around an address that may stay. No model can write these marks: `Characters` drops private-use characters."""


class More(Exception):
    """What a token is cannot be said before more of the text is there."""


class Lexer(ABC):
    """Takes a text token by token.

    `_next` reads the token at `at` and says what comes of it and where the next begins. It may look at `text[at:]` and
    at what it remembers, never at what stands before `at`; and where the end of `text` cuts short what it looks at, it
    calls `_more`. So no piece's end can show. What is waited for must be bounded, or a text would stand still.
    """

    def __init__(self) -> None:
        self._held = ""
        self._ended = False

    @abstractmethod
    def _next(self, text: str, at: int) -> tuple[str, int]: ...

    def _more(self) -> None:
        """Raises More while the text goes on; returns once it has ended."""
        if not self._ended:
            raise More

    def feed(self, text: str) -> str:
        """What can be said of the text so far."""
        text, parts, at = self._held + text, [], 0
        try:
            while at < len(text):
                part, at = self._next(text, at)
                parts.append(part)
        except More:
            pass
        self._held = text[at:]
        return "".join(parts)

    def close(self) -> str:
        """The rest, at the end of the text."""
        self._ended = True
        return self.feed("")

    def whole(self, text: str) -> str:
        """A whole text at once."""
        return self.feed(text) + self.close()

"""A text that grows token by token, shown as it comes.

`Letters` and `Thoughts` are given what there is and return what can be shown of it: for who cannot wait in a loop.
`text_pieces` and `thought_pieces` are the same for who can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from finetune.rendering import CLOSE, OPEN

BROKEN = "\ufffd"
"""What a decoder shows for bytes that are no whole letter yet."""


class Letters:
    """Tokens to text; a letter of several tokens is held back until it is whole.

    Together the texts are `decode` of all tokens (but where that ends within a letter: what is broken may show
    otherwise). Each is decoded with what was shown last before it, because a tokenizer like Llama-2's drops the space
    before a text's first word.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = 0
        """ids[:shown] was the last text; what came before it is no longer kept."""

    def add(self, token: int) -> str:
        """What can be shown now; empty where a letter is not whole."""
        self._ids.append(token)
        known, text = self._decode(self._ids[: self._shown]), self._decode(self._ids)
        if len(text) <= len(known) or text.endswith(BROKEN):
            return ""
        del self._ids[: self._shown]
        self._shown = len(self._ids)
        return text[len(known) :]

    def end(self) -> str:
        """What was held back."""
        return self._decode(self._ids)[len(self._decode(self._ids[: self._shown])) :]


class Thoughts:
    """Generated text to pieces, each with whether it is thought; the tags, and white space around them, left out.

    opened: the prompt ended with `<think>`. Text that may be the beginning of a tag is held back until it is known.
    """

    def __init__(self, opened: bool) -> None:
        self._state: Literal["start", "thought", "gap", "answer"] = "thought" if opened else "start"
        self._held = ""

    def add(self, piece: str) -> list[tuple[bool, str]]:
        """What can be shown now."""
        self._held += piece
        pieces: list[tuple[bool, str]] = []
        if self._state == "start":
            self._held = self._held.lstrip()
            if OPEN.startswith(self._held):
                return pieces
            self._state = "thought" if self._held.startswith(OPEN) else "answer"
            self._held = self._held.removeprefix(OPEN).lstrip()
        if self._state == "thought":
            thought, closed, rest = self._held.partition(CLOSE)
            safe = (thought if closed else thought[: len(thought) - overlap(thought, CLOSE)]).rstrip()
            if safe:
                pieces.append((True, safe))
            self._held = rest if closed else thought[len(safe) :]
            self._state = "gap" if closed else self._state
        if self._state == "gap":
            self._held = self._held.lstrip()
            self._state = "answer" if self._held else self._state
        if self._state == "answer" and self._held:
            pieces.append((False, self._held))
            self._held = ""
        return pieces

    def end(self) -> list[tuple[bool, str]]:
        """What was held back."""
        return [(self._state == "thought", self._held)] if self._held.strip() else []


def text_pieces(tokens: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """The text of tokens as they come, in whole `Letters`."""
    letters = Letters(decode)
    for token in tokens:
        if text := letters.add(token):
            yield text
    if rest := letters.end():
        yield rest


def thought_pieces(pieces: Iterable[str], opened: bool) -> Iterator[tuple[bool, str]]:
    """Pieces of a generated text, each with whether it is thought (`Thoughts`)."""
    thoughts = Thoughts(opened)
    for piece in pieces:
        yield from thoughts.add(piece)
    yield from thoughts.end()


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` are the beginning of `tag`, and not all of it."""
    return next((length for length in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:length])), 0)

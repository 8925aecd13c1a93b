"""What a model thinks before it answers, told from the answer by its tags while the text streams."""

from __future__ import annotations

import re

from rag.lexer import Lexer

_NAMES = "think|thinking|thought|reasoning"
_TAG = re.compile(rf"<(/?)(?:{_NAMES})>|\[(/?)THINK\]|◁(/?)think▷", re.IGNORECASE)
_MAY_BE_TAG = re.compile(r"(?:<|\[|◁)/?[a-z]{0,9}\Z", re.IGNORECASE)
_NO_TAG = re.compile(r"[^<\[◁]+")


class Thoughts(Lexer):
    """Tells thoughts from the answer by their tags, wherever these stand; a thought with no end goes on to the end.

    parts: (whether it is thought, text), in order; the caller takes them away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[bool, str]] = []
        self._thinking = False

    def _next(self, text: str, at: int) -> tuple[str, int]:
        plain = _NO_TAG.match(text, at)
        if plain is not None:
            self.parts.append((self._thinking, plain[0]))
            return "", plain.end()
        if _MAY_BE_TAG.match(text, at):
            self._more()
        tag = _TAG.match(text, at)
        if tag is None:
            self.parts.append((self._thinking, text[at]))
            return "", at + 1
        self._thinking = "/" not in tag.groups()
        return "", tag.end()


def without_thoughts(text: str) -> str:
    """An answer alone; where a thought ends that never began (a template opened it), what follows is the answer."""
    before, closed, after = text.rpartition("</think>")
    if closed and "<think>" not in before:
        return after.strip()
    reader = Thoughts()
    reader.whole(text)
    return "".join(part for thought, part in reader.parts if not thought).strip()

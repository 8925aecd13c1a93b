"""How much is taken of an endpoint's answer: not all of them keep to max_tokens, and a model that loops never ends."""

from __future__ import annotations

from dataclasses import replace

from rag.deltas import Delta

SPARE_DELTAS = 16
"""Events with text beyond one to a token: some send white space or a tag by itself."""
CHARS_PER_TOKEN = 24
"""More than any text has on average; English has about 4."""
SPARE_CHARS = 256


class Bounds:
    """What an answer of so many tokens can be, thought and text together. over: there was more of it."""

    def __init__(self, tokens: int) -> None:
        self._deltas, self._chars = tokens + SPARE_DELTAS, tokens * CHARS_PER_TOKEN + SPARE_CHARS
        self.over = False

    def within(self, delta: Delta) -> Delta:
        """The part of a delta that is taken; the last of an answer that is over ends with `length`."""
        self._deltas -= bool(delta.text or delta.thought)
        room = self._chars if self._deltas >= 0 else 0
        thought = delta.thought[:room]
        text = delta.text[: room - len(thought)]
        self._chars -= len(thought) + len(text)
        self.over = len(thought) + len(text) < len(delta.thought) + len(delta.text)
        return replace(delta, text=text, thought=thought, end="length") if self.over else delta

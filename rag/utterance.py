"""What a model says, as it comes, to pieces of an answer: thought told apart, and cut before a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.streaming import Thoughts, overlap
from rag.speakers import Piece


class Utterance:
    """Give it the text as it comes. opened: the prompt ended with `<think>`. stop: texts that end the answer; they are
    not said, and no beginning of one is until it is known not to be one. They are not looked for in the thought.

    stopped: one was found; what comes after it is left out.
    """

    def __init__(self, opened: bool = False, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._thoughts = Thoughts(opened)
        self._stop = tuple(text for text in stop if text)
        self._held = ""

    def add(self, text: str) -> list[Piece]:
        """What can be said now."""
        return self._pieces(self._thoughts.add(text))

    def end(self) -> list[Piece]:
        """What was held back."""
        pieces = self._pieces(self._thoughts.end())
        if self._held:
            pieces.append(Piece(self._held))
            self._held = ""
        return pieces

    def _pieces(self, parts: list[tuple[bool, str]]) -> list[Piece]:
        said = ((text if thought else self._before_stop(text), thought) for thought, text in parts)
        return [Piece(text, thought) for text, thought in said if text]

    def _before_stop(self, text: str) -> str:
        """Of what is held and this text, what can be said."""
        if self.stopped or not self._stop:
            return "" if self.stopped else text
        whole = self._held + text
        found = [place for place in map(whole.find, self._stop) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return whole[: min(found)]
        kept = max(overlap(whole, one) for one in self._stop)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]

"""What a source row says: its fields, what was said before the question of a conversation, and its slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from recipes.rows import Turn

GOLD = "aspects"
"""Field of the gold tuples of a text, as JSON; texts are told apart without it."""
_REVIEW = {"text", "analysis", "rewrite", GOLD}


class Unfit(Exception):
    """Why a row of the source cannot become an example."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Content:
    """The cleaned fields of a row and its history.

    left_out: turns of its conversation that are in neither; not kept by `encode`. slices: column -> value, by which
    scores are told apart.
    """

    fields: dict[str, str]
    history: tuple[Turn, ...] = ()
    left_out: int = field(default=0, compare=False)
    slices: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What near duplicates are told by, and a reject shows: the fields, of an answered question the question.

        With a question goes what was said before it, but not the system message: it may be the same in every row.
        """
        if self.fields.keys() >= {"question", "response"}:
            said = [turn.content for turn in self.history if turn.role != "system"]
            return "\n".join([*said, self.fields["question"]])
        if self._is_review():
            return self.fields["text"]
        return "\n".join(self.fields.values())

    @property
    def whole(self) -> str:
        """All of it: rows that agree in this are the same."""
        review = self._is_review()
        parts = [value for name, value in self.fields.items() if not review or name != GOLD]
        return "\n".join([*(turn.content for turn in self.history), *parts] if self.history else parts)

    @property
    def opening(self) -> str | None:
        """How a conversation begins, its first question and the answer to it; None for what is no conversation.

        A dialogue that is stored turn by turn begins alike in every row, and one row's answer is another's history.
        """
        if not self.fields.keys() >= {"question", "response"}:
            return None
        said = [turn.content for turn in self.history if turn.role != "system"]
        return "\n".join([*said, self.fields["question"], self.fields["response"]][:2])

    def _is_review(self) -> bool:
        """Whether there is a text and beside it at most what was written about it, or its gold tuples."""
        return "text" in self.fields and self.fields.keys() <= _REVIEW

    def size(self) -> int:
        """Characters."""
        size = sum(map(len, self.fields.values()))
        return size + sum(len(turn.content) for turn in self.history) if self.history else size

    def cut(self, limit: int) -> Content:
        """The same with no field longer than `limit`: what is kept of a row that is too long."""
        return Content({name: value[:limit] for name, value in self.fields.items()}, slices=self.slices)

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps([self.fields, [[turn.role, turn.content] for turn in self.history], self.slices])


def decode(line: bytes) -> Content:
    """The content that `Content.encode` wrote."""
    fields, history, slices = orjson.loads(line)
    return Content(fields, tuple(_turn(*turn) for turn in history), slices=slices)


def _turn(role: Any, content: str) -> Turn:
    return Turn.model_construct(role=role, content=content)

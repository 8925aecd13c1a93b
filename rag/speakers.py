"""What answers: a student on this machine, or an endpoint. One question at a time is put to it, many at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from recipes.rows import Turn


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. messages: a system message if any, earlier turns if any, and the user's question last."""

    messages: tuple[Turn, ...]
    max_tokens: int
    temperature: float
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an answer as it comes; thought: of what the model thinks before it."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended. cancelled: by somebody else than who asked, such as an engine that is shut down."""

    reason: Literal["stop", "length", "cancelled"]
    prompt_tokens: int
    completion_tokens: int


class Speaker(Protocol):
    """Somebody who answers. context: tokens of prompt and answer at most. turns: whether it takes a conversation, and
    not one question alone (formats alpaca and think).
    """

    name: str
    context: int
    turns: bool

    def count(self, messages: Sequence[Turn]) -> int:
        """Tokens of the prompt that `messages` make."""
        ...

    def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        """The answer as it comes, an Ending last. Closing the generator frees its slot."""
        ...

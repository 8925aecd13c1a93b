"""What answers: a student on this machine, or an endpoint. One question at a time is put to it, many at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from recipes.rows import Turn

if TYPE_CHECKING:
    from recipes.runs import RunFolder
    from recipes.schema import Recipe


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
    """How an answer ended. cancelled: by somebody else than who asked, such as an engine that is shut down. cut: at a
    stop string.
    """

    reason: Literal["stop", "length", "cancelled"]
    prompt_tokens: int
    completion_tokens: int
    cut: bool = False


class Speaker(Protocol):
    """Somebody who answers. context: tokens of prompt and answer at most. turns: whether it takes a conversation, and
    not one question alone (formats alpaca and think).
    """

    name: str
    context: int
    turns: bool

    @property
    def alive(self) -> bool:
        """Whether it can still answer anything."""
        ...

    def count(self, messages: Sequence[Turn]) -> int:
        """Tokens of the prompt that `messages` make."""
        ...

    def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        """The answer as it comes, an Ending last. Closing the generator frees its slot.

        Raises, at its first step or later, AskError for a question that cannot be answered as it was asked, and
        TeacherError or TrainingError where an endpoint or a student fails.
        """
        ...


def open_speaker(recipe: Recipe, run: RunFolder) -> AbstractAsyncContextManager[Speaker]:
    """Who `assistant.model` names; it must be a model (extractive is none). On entering raises TrainingError where the
    student is not trained, TeacherError where an endpoint's key is missing or its address cannot be used.
    """
    assert recipe.assistant is not None, "the recipe has no section assistant"
    if recipe.assistant.model.startswith("students."):
        from rag.local import open_local  # torch: seconds that who only shows --help need not wait

        return open_local(recipe.assistant, run)
    assert recipe.assistant.model != "extractive", "nobody speaks where the best sentences of passages are the answer"
    from rag.remote import open_remote

    return open_remote(recipe)

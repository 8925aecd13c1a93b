"""A conversation for a student's format: what the format has no place for goes before the question.

Formats alpaca and think hold one question, and some chat templates hold no system message. Nothing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from finetune.formats import Renderer
from recipes.errors import AskError, TrainingError
from recipes.rows import Turn, storable

_SPEAKERS = {"user": "Customer", "assistant": "Assistant"}


class Folding:
    """How messages become a student's prompt. turns: it takes earlier turns; system: it takes a system message."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        question, answer, system = Turn(role="user", content="q"), Turn(role="assistant", content="a"), _system("s")
        self.system = self._takes([system])
        self.turns = self._takes([question, answer, question, answer]) and (
            not self.system or self._takes([system, question, answer])
        )

    def prompt(self, messages: Sequence[Turn]) -> list[int]:
        """The tokens that an answer to the last message is generated after. Raises AskError where that is nobody's."""
        said = tidy(messages)
        system = [said.pop(0)] if said and said[0].role == "system" else []
        if not said or said[-1].role != "user":
            raise AskError("the last message must be the user's: there is nothing to answer")
        question = said.pop().content
        if said and (not self.turns or said[0].role != "user"):
            question, said = f"{_told(said)}\n\n{question}", []
        if system and not self.system:
            first = f"{system.pop().content}\n\n{said[0].content if said else question}"
            question = question if said else first
            said[:1] = [Turn(role="user", content=first)] if said else []
        return self._renderer.encode_prompt(question, [*system, *said])

    def _takes(self, history: list[Turn]) -> bool:
        try:
            self._renderer.encode_prompt("q", history)
        except TrainingError:
            return False
        return True


def tidy(messages: Sequence[Turn]) -> list[Turn]:
    """System messages joined at the start, then turns that alternate: neighbours of one role are joined."""
    system = [storable(one.content) for one in messages if one.role == "system" and one.content.strip()]
    others = groupby((one for one in messages if one.role != "system"), key=lambda one: one.role)
    turns = [Turn(role=role, content=storable("\n\n".join(one.content for one in same))) for role, same in others]
    return ([_system("\n\n".join(system))] if system else []) + turns


def _told(turns: Sequence[Turn]) -> str:
    """A conversation as text."""
    return "\n\n".join(f"{_SPEAKERS[turn.role]}: {turn.content.strip()}" for turn in turns)


def _system(text: str) -> Turn:
    return Turn(role="system", content=text)

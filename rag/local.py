"""A student of the run that answers on this machine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from finetune.answering import GenerativeStudent
from finetune.streaming import Letters
from finetune.student import open_student
from rag.engine import Engine, Job, Told
from rag.folding import Folding
from rag.speakers import Ask, Ending, Piece
from rag.utterance import Utterance
from recipes.errors import AskError, TutelageError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.schema import Assistant
from recipes.students import Answering


class LocalSpeaker:
    """A student behind an engine; see Speaker. context: the section's, or the model's where that is less."""

    def __init__(self, name: str, student: GenerativeStudent, engine: Engine, context: int) -> None:
        self.name = name
        self.context = min(context, student.positions)
        self._engine, self._renderer = engine, student.renderer
        self._folding = Folding(student.renderer)
        self.turns = self._folding.turns

    @property
    def alive(self) -> bool:
        """Whether the engine still runs."""
        return self._engine.alive

    def count(self, messages: Sequence[Turn]) -> int:
        """Tokens of the prompt that `messages` make."""
        return len(self._folding.prompt(messages))

    async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        """The answer as it comes, an Ending last; see Speaker. Raises AskError for a prompt that leaves no room for an
        answer, TrainingError where the model fails.
        """
        prompt = self._folding.prompt(ask.messages)
        room = self.context - len(prompt)
        if room < 1:
            raise AskError(
                f"the question and what belongs to it have {len(prompt):,} tokens and {self.name} takes "
                f"{self.context - 1:,}: ask a shorter one"
            )
        loop, told = asyncio.get_running_loop(), asyncio.Queue[Told]()

        def tell(said: Told) -> None:
            loop.call_soon_threadsafe(told.put_nowait, said)

        job = Job(prompt, _answering(ask, room), _seed(ask), tell)
        letters, utterance = Letters(self._renderer.decode), Utterance(self._renderer.opened, ask.stop)
        self._engine.submit(job)
        try:
            while isinstance(said := await told.get(), int):
                for piece in utterance.add(letters.add(said)):
                    yield piece
                if utterance.stopped:
                    break
            if isinstance(said, TutelageError):
                raise said
            for piece in [*utterance.add(letters.end()), *utterance.end()]:
                yield piece
            reason = "stop" if utterance.stopped or isinstance(said, int) else said
            yield Ending(reason, len(prompt), job.taken, utterance.stopped)
        finally:
            job.gone = True


def _answering(ask: Ask, room: int) -> Answering:
    top_p = 1.0 if ask.top_p is None else max(ask.top_p, 1e-6)  # 0 is asked for at times: the likeliest token alone
    return Answering(temperature=ask.temperature, top_p=top_p, max_new_tokens=min(ask.max_tokens, room))


def _seed(ask: Ask) -> int:
    return secrets.randbits(32) if ask.seed is None else ask.seed % (1 << 64)


@asynccontextmanager
async def open_local(assistant: Assistant, run: RunFolder) -> AsyncIterator[LocalSpeaker]:
    """The student that `assistant.model` names, as it was trained, its adapter on it. Raises TrainingError where it is
    not trained, is no generative one, or its adapter changes nothing.
    """
    name = assistant.model.removeprefix("students.")
    student = open_student(run, name)
    assert isinstance(student, GenerativeStudent), "the recipe's check lets no classifier answer"
    with Engine(student, assistant.concurrency) as engine:
        yield LocalSpeaker(assistant.model, student, engine, assistant.context_tokens)

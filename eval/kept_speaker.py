"""Who answers for the assistant while it is scored: every reply is on disk before it is used, and asked for once.

A reply is kept by the sha256 of its whole request, as the teacher's are: an assistant that is read anew, with another
top_k or another way of checking citations, asks only for what it has not asked before. What a call can cost is on disk
before it is sent, and what it did once it has ended.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from eval.unfinished import GrowingFile
from rag.speakers import Ask, Ending, Piece, Speaker
from recipes.chat import ChatRequest, Message, Sampling, Usage
from recipes.errors import AskError, BudgetError, TeacherError
from recipes.rows import Row, Turn
from synth.budget import Budget, add, subtract
from synth.entries import NO_TOKENS
from synth.faults import Fault

PAUSES = (1.0, 4.0)
"""Seconds before a call that failed for a passing reason is sent again."""


class Spoken(Row):
    """A line of retrieval/replies.jsonl: a reply as it came, or what a call without one may have cost.

    key: of the request that it answers; empty where it answers none. seconds: that it took. call: of a call that costs
    money; its first line comes before it is sent and has the most that it can be billed for, its second what it was.
    One that was killed on its way has no second.
    """

    key: str
    question: str
    thought: str
    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    model: str = ""
    call: str = ""


class KeptReplies:
    """All replies of a run folder. usage: tokens paid or possibly paid for, of all of them. paid: models that cost."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._found: dict[str, Spoken] = {}
        self._reserved: dict[str, Usage] = {}
        self.usage = NO_TOKENS
        self.paid: set[str] = set()
        for line in self._file.read(Spoken):
            self._note(line)

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: str) -> Spoken | None:
        """The reply to a request, if there is one."""
        return self._found.get(key)

    def add(self, line: Spoken) -> None:
        """Keep a line; it is safe when this returns."""
        self._file.add([line])
        self._note(line)

    def _note(self, line: Spoken) -> None:
        used = Usage(line.prompt_tokens, 0, line.completion_tokens)
        self.usage = add(subtract(self.usage, self._reserved.pop(line.call, NO_TOKENS)), used)
        if line.call and not line.key:
            self._reserved[line.call] = used
        if line.call:
            self.paid.add(line.model)
        if line.key:
            self._found[line.key] = line


class KeptSpeaker:
    """A speaker that asks another one only for what is not kept (see Speaker). endpoint: what tells the model apart.
    budget: None where nothing is paid.

    asked: requests that were made of it. ahead: seconds that replies took when they were asked for, beyond those that
    they took now. dry: nobody is asked, and nothing is said, but for what is kept.
    """

    def __init__(
        self, speaker: Speaker, endpoint: str, kept: KeptReplies, budget: Budget | None = None, dry: bool = False
    ) -> None:
        self.name, self.context, self.turns = speaker.name, speaker.context, speaker.turns
        self.asked: list[ChatRequest] = []
        self.ahead = 0.0
        self._speaker, self._endpoint, self._kept, self._budget, self._dry = speaker, endpoint, kept, budget, dry

    @property
    def alive(self) -> bool:
        """Whether the other one can still answer anything."""
        return self._speaker.alive

    def count(self, messages: Sequence[Turn]) -> int:
        """Tokens of the prompt that `messages` make."""
        return self._speaker.count(messages)

    async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        """The answer, at once when all of it is there. Raises BudgetError where it could cost more than is left."""
        began = time.perf_counter()
        request = _request(ask, self._speaker.name, self._endpoint)
        self.asked.append(request)
        found = self._kept.get(request.key())
        if found is None and self._dry:
            yield Ending("stop", 0, 0)
            return
        if found is None:
            found = await self._ask(ask, request)
        self.ahead += found.seconds - (time.perf_counter() - began)
        if found.thought:
            yield Piece(found.thought, thought=True)
        if found.text:
            yield Piece(found.text)
        yield Ending("length" if found.cut else "stop", found.prompt_tokens, found.completion_tokens)

    async def _ask(self, ask: Ask, request: ChatRequest) -> Spoken:
        for pause in (*PAUSES, None):
            call, most = self._reserve(request)
            try:
                found = await self._heard(ask, request, call)
                break
            except (TeacherError, AskError) as error:
                fault = error.__context__  # what the endpoint did; the error is what a user is told of it
                free = isinstance(fault, Fault) and not fault.may_be_billed
                self._settle(_unsaid(request, call, NO_TOKENS if free else most), most)
                if pause is None or not isinstance(fault, Fault) or not fault.again:
                    raise
                await asyncio.sleep(fault.retry_after or pause)
        self._settle(found, most)
        return found

    def _reserve(self, request: ChatRequest) -> tuple[str, Usage]:
        """Set aside the most that a call can be billed for, on disk: it may never come to its end. Raises BudgetError
        where so much is not left.
        """
        if self._budget is None:
            return "", NO_TOKENS
        most = self._budget.bound(request)
        if not self._budget.fits(most):
            raise BudgetError(
                f"evaluation.retrieval.budget_usd ({self._budget.usd:g} USD) does not cover the next answer, of "
                f"which {self._budget.spent_usd():.4f} are spent: raise it and run the same command again"
            )
        call = secrets.token_hex(8)
        self._kept.add(_unsaid(request, call, most))
        self._budget.reserve(most)
        return call, most

    def _settle(self, line: Spoken, most: Usage) -> None:
        if line.key or line.call:
            self._kept.add(line)
        if self._budget is not None:
            self._budget.settle(most, Usage(line.prompt_tokens, 0, line.completion_tokens))

    async def _heard(self, ask: Ask, request: ChatRequest, call: str) -> Spoken:
        began, said, ending = time.perf_counter(), {True: "", False: ""}, Ending("cancelled", 0, 0)
        async with aclosing(self._speaker.say(ask)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ending):
                    ending = piece
                else:
                    said[piece.thought] += piece.text
        if ending.reason == "cancelled":
            raise TeacherError(f"{self.name} was stopped in the middle of an answer")
        return Spoken(
            key=request.key(),
            question=ask.messages[-1].content,
            thought=said[True],
            text=said[False],
            cut=ending.reason == "length",
            prompt_tokens=ending.prompt_tokens,
            completion_tokens=ending.completion_tokens,
            seconds=round(time.perf_counter() - began, 4),
            model=request.model,
            call=call,
        )


def _unsaid(request: ChatRequest, call: str, most: Usage) -> Spoken:
    """The line of a call that has no reply, or none yet."""
    return Spoken(
        key="", question=request.messages[-1].content, thought="", text="", cut=True, prompt_tokens=most.prompt,
        completion_tokens=most.completion, seconds=0.0, model=request.model, call=call,
    )  # fmt: skip


def _request(ask: Ask, model: str, endpoint: str) -> ChatRequest:
    messages = tuple(Message(turn.role, turn.content) for turn in ask.messages)
    return ChatRequest(endpoint, model, messages, Sampling(ask.temperature, ask.max_tokens, ask.top_p, ask.seed))

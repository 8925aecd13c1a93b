"""The assistant at work on the questions: with retrieval, and the same model without; one question at a time.

Nothing is asked twice: replies are kept as they come (kept_speaker.py), and a run that was stopped goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from eval.assistant_answer import WITH, WITHOUT, Answered, read_answer
from eval.kept_speaker import KeptReplies, KeptSpeaker
from rag.assistant import Assistant, Done, Options, Sources, answering_of
from rag.retriever import Retriever
from rag.speakers import Speaker, open_speaker
from recipes.assistant import Assistant as Settings
from recipes.chat import ChatRequest, Price
from recipes.console import agree_to_spend, say
from recipes.errors import AskError, BudgetError, RunError, TeacherError, TrainingError
from recipes.queries import Query
from recipes.rows import Turn
from recipes.runs import RunFolder, file_digest
from recipes.schema import Recipe
from synth.budget import Budget
from synth.splits import rank

PLAIN = "You help customers of a shop. Answer the question."
"""The system message without retrieval: the recipe's own speaks of passages."""
_TOLD = 10.0
"""Seconds between two words on how it is coming along."""


@dataclass(frozen=True)
class Answers:
    """What was answered. stopped: why not all was, or empty; failed: whether that is to be mended by somebody."""

    lines: tuple[Answered, ...]
    stopped: str = ""
    failed: bool = False


def draw(queries: Sequence[Query], most: int, seed: int) -> list[Query]:
    """A seeded draw of the questions, in their order."""
    drawn = sorted(queries, key=lambda query: rank(seed, f"answer:{query.query}"))[:most]
    chosen = {query.query for query in drawn}
    return [query for query in queries if query.query in chosen]


def price_of(recipe: Recipe) -> Price | None:
    """What the assistant's model costs, where a price is named."""
    assert recipe.assistant is not None
    if recipe.assistant.endpoint is not None:
        return recipe.assistant.endpoint.price
    return recipe.teacher.price if recipe.assistant.model == "teacher" else None


def answer_questions(
    recipe: Recipe, run: RunFolder, retriever: Retriever, queries: Sequence[Query], yes: bool
) -> Answers:
    """The assistant's answers. What stops it is in the result, with the answers until then."""
    lines: list[Answered] = []
    try:
        kept = KeptReplies(run.path / "retrieval" / "replies.jsonl")
        asyncio.run(_Scoring(recipe, run, retriever, kept, yes).answer(queries, lines))
    except BudgetError as error:
        return Answers(tuple(lines), str(error))
    except (RunError, TeacherError, TrainingError) as error:
        return Answers(tuple(lines), str(error), failed=True)
    return Answers(tuple(lines))


class _Scoring:
    def __init__(self, recipe: Recipe, run: RunFolder, retriever: Retriever, kept: KeptReplies, yes: bool) -> None:
        assert recipe.assistant is not None, "the recipe has no section assistant"
        self._recipe, self._run, self._retriever, self._kept, self._yes = recipe, run, retriever, kept, yes
        self._settings: Settings = recipe.assistant
        self._answering = answering_of(recipe)
        self._options = Options(seed=recipe.evaluation.seed)

    async def answer(self, queries: Sequence[Query], lines: list[Answered]) -> None:
        """Answers go to `lines` as they come."""
        async with AsyncExitStack() as stack:
            speaker = None
            if self._settings.model != "extractive":
                speaker = await stack.enter_async_context(open_speaker(self._recipe, self._run))
                await self._prepare(speaker, queries)
            await self._answer_all(self._kept_speaker(speaker), queries, lines)

    async def _prepare(self, speaker: Speaker, queries: Sequence[Query]) -> None:
        """Find what is still to be asked and say what it may cost, with nobody asked."""
        dry = KeptSpeaker(speaker, self._endpoint(), self._kept, dry=True)
        await self._answer_all(dry, queries, [])
        requests = {request.key(): request for request in dry.asked}
        left = [request for key, request in requests.items() if self._kept.get(key) is None]
        if left:
            self._confirm(speaker.name, left, len(requests))

    def _confirm(self, name: str, left: Sequence[ChatRequest], of: int) -> None:
        price, most = price_of(self._recipe), self._recipe.evaluation.retrieval.budget_usd
        told = f"assistant: {name}, {len(left):,} of {of:,} answers to ask for"
        if price is None:
            say(told)
            return
        bound = Budget(price, float("inf"))
        usd = sum(price.cost(bound.bound(request)) for request in left)
        cap = f", never above {most:g} USD in this run folder (evaluation.retrieval.budget_usd)" if most else ""
        cost = f"{usd:.4f} USD at most{cap}"
        say(f"{told}, {cost}")
        if not self._yes and name not in self._kept.paid:
            agree_to_spend(f"the assistant {name}", cost)

    def _kept_speaker(self, speaker: Speaker | None) -> KeptSpeaker | None:
        if speaker is None:
            return None
        price, most = price_of(self._recipe), self._recipe.evaluation.retrieval.budget_usd
        budget = None if price is None else Budget(price, most or float("inf"), self._kept.usage)
        return KeptSpeaker(speaker, self._endpoint(), self._kept, budget)

    def _endpoint(self) -> str:
        """What tells this model from another of its name."""
        if self._settings.endpoint is not None:
            return self._settings.endpoint.base_url.rstrip("/")
        if self._settings.model == "teacher":
            return self._recipe.teacher.address()
        name = self._settings.model.removeprefix("students.")
        return f"{self._settings.model} {file_digest(self._run.student(name) / 'student.json')}"

    async def _answer_all(self, speaker: KeptSpeaker | None, queries: Sequence[Query], lines: list[Answered]) -> None:
        """Ask both assistants every question. With nothing to say (a dry speaker) the lines are worth nothing."""
        plain = self._settings.model_copy(update={"instruction": PLAIN})
        helped = Assistant(self._settings, self._answering, self._retriever, speaker)
        alone = None if speaker is None else Assistant(plain, self._answering, None, speaker)
        told = time.monotonic()
        try:
            for place, query in enumerate(queries, 1):
                first, sources = await self._asked(helped, speaker, query, WITH, None)
                lines.append(first)
                if alone is not None:
                    lines.append((await self._asked(alone, speaker, query, WITHOUT, sources))[0])
                if time.monotonic() - told > _TOLD:
                    told = time.monotonic()
                    say(f"assistant: {place:,} of {len(queries):,} questions answered")
        finally:
            for one in (helped, alone):
                if one is not None:
                    one.close()

    async def _asked(
        self, assistant: Assistant, speaker: KeptSpeaker | None, query: Query, mode: str, sources: Sources | None
    ) -> tuple[Answered, Sources | None]:
        """One answer, and what was found for it. sources: what to hold an answer without retrieval against."""
        began, ahead = time.perf_counter(), 0.0 if speaker is None else speaker.ahead
        done: Done | None = None
        try:
            async with aclosing(assistant.reply([Turn(role="user", content=query.query)], self._options)) as events:
                async for event in events:
                    if isinstance(event, Sources) and sources is None:
                        sources = event
                    if isinstance(event, Done):
                        done = event
        except AskError as error:
            return Answered(mode=mode, query=query.query, answerable=query.answerable, failed=str(error)), sources
        assert done is not None and sources is not None, "an answer ends with Done"
        seconds = time.perf_counter() - began
        if speaker is not None:  # a reply that was kept took the time that it took when it was asked for
            seconds += speaker.ahead - ahead
        return read_answer(query, mode, done, sources.found.passages, seconds), sources

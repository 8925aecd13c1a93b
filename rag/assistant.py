"""The product assistant: a question in a conversation -> sources, an answer in pieces, and what it comes to.

read_talk -> refers back? rewritten -> searched -> nothing found? refused
-> prompt, trimmed -> the model's pieces -> Outlet -> what a reader may see
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rag.answers import Done as Done
from rag.answers import Options as Options
from rag.answers import Sources as Sources
from rag.answers import as_asked, unsupported
from rag.extractive import extract
from rag.index_watch import ADVICE, IndexState, IndexWatch
from rag.links import is_web, web_addresses
from rag.outlet import Outlet
from rag.passages import Found, Passage
from rag.phrases import courtesy, finds_nothing, proposed
from rag.prompting import Prompt, Talk, check_length, estimate, fit, read_talk, shares, shown_passage
from rag.rewrite import MOST_TOKENS, joined, read_rewritten, refers_back, rewriting
from rag.speakers import Ask, Ending, Piece, Speaker
from rag.thoughts import without_thoughts
from recipes.assistant import Assistant as Settings
from recipes.errors import RunError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.students import Answering, CausalStudent

if TYPE_CHECKING:
    from rag.retriever import Retriever

Anything = TypeVar("Anything")

_NOTHING = Ending("stop", 0, 0)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that is ready to be answered. said: what to answer where no passage is needed. most: tokens of an
    answer. spent: what writing the question anew took.
    """

    sources: Sources
    prompt: Prompt
    said: str | None
    most: int
    spent: Ending


class Assistant:
    """Answers questions. retriever: None answers without passages. speaker: None quotes the passages. watch: on the
    retriever's index.

    Both are the caller's to close. Searches run in one thread of their own, one after another. What takes the longer
    the more a client sends runs in others, so that answers under way go on meanwhile.
    """

    def __init__(
        self, settings: Settings, answering: Answering, retriever: Retriever | None, speaker: Speaker | None,
        watch: IndexWatch | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._answering = settings, answering
        self._retriever, self._speaker, self._watch = retriever, speaker, watch
        self._context = min(settings.context_tokens, speaker.context if speaker else settings.context_tokens)
        self._searching, self._reading = ThreadPoolExecutor(1, "search"), ThreadPoolExecutor(4, "read")
        self._rewrites = True

    @property
    def alive(self) -> bool:
        """Whether there is anybody to answer: the device of a student may be lost while a server runs."""
        return self._speaker is None or self._speaker.alive

    @property
    def index(self) -> IndexState:
        """How what it answers from stands to what is there now."""
        return "current" if self._watch is None else self._watch.state()

    def examples(self) -> tuple[str, ...]:
        """Questions that somebody may begin with: about documents that there are."""
        return () if self._retriever is None else proposed(self._retriever.some_titles())

    def close(self) -> None:
        """End its threads."""
        self._searching.shutdown(cancel_futures=True)
        self._reading.shutdown(cancel_futures=True)

    async def reply(
        self, messages: Sequence[Turn], options: Options | None = None
    ) -> AsyncGenerator[Sources | Piece | Done, None]:
        """Sources, the pieces of an answer, Done. Whatever a model writes becomes an answer. Closing the generator, or
        cancelling the task that waits for it, frees the speaker's slot.

        Raises, before anything comes, AskError for what is no question, is too long, or has no such filter, and
        RunError where the index can be searched no more.
        """
        options = options or Options()
        asked = await self._asked(messages, options)
        yield asked.sources
        if asked.said is not None:
            said, reason = as_asked(asked.said, options)
            yield Piece(said)
            ending = _together(Ending(reason, 0, 0), asked.spent)
            yield Done(ending, (), 0, 0, not asked.sources.found.answerable, said, asked.prompt.messages)
            return
        outlet, quoted, ending = _outlet(asked), _outlet(asked), asked.spent
        async with aclosing(self._say(asked, options)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ending):
                    ending = _together(piece, asked.spent)
                    break
                for shown in outlet.feed(piece):
                    yield shown
        for shown in outlet.close():
            yield shown
        silent = not outlet.response and not ending.cut and ending.reason != "cancelled"
        if self._speaker is not None and silent:
            said, reason = as_asked(await self._quoted(asked), options)  # all of it was thought, or of no use
            ending = replace(ending, reason="length") if reason == "length" else ending
            for shown in _all_of(quoted, Piece(said)):
                yield shown
        if ending.reason == "cancelled":  # by a shutdown, which has ended the threads, too
            yield self._done(asked, ending, outlet, quoted)
        else:
            yield await self._apart(self._done, asked, ending, outlet, quoted)

    async def _asked(self, messages: Sequence[Turn], options: Options) -> _Asked:
        room, most = shares(self._context, options.max_tokens or self._answering.max_new_tokens)
        talk, back = await self._apart(self._read, messages, room)
        greeting = courtesy(talk.question)
        if greeting is not None:
            nothing = Found(talk.question, (), 0.0, True)
            prompt = await self._apart(fit, talk, (), self._count, room)
            return _Asked(Sources(nothing, talk.question), prompt, greeting, most, _NOTHING)
        question, spent = (await self._standalone(talk, options)) if back else (talk.question, _NOTHING)
        found = await self._search(question, options)
        if self._speaker is not None and not self._speaker.turns:
            talk = Talk(talk.instruction, (), question)
        prompt = await self._apart(fit, talk, found.passages, self._count, room)
        sources = Sources(replace(found, passages=prompt.passages), question)
        return _Asked(sources, prompt, None if found.answerable else self._settings.refusal, most, spent)

    def _read(self, messages: Sequence[Turn], room: int) -> tuple[Talk, bool]:
        """The conversation, and whether its question has to be written anew."""
        talk = read_talk(messages, self._settings.instruction, self._settings.history_turns)
        check_length(talk, self._count, room)
        return talk, self._settings.rewrite and refers_back(talk.question, talk.history)

    async def _standalone(self, talk: Talk, options: Options) -> tuple[str, Ending]:
        """The question by itself, and what it took to write it."""
        written: str | None = None
        spent = _NOTHING
        if self._speaker is not None and self._rewrites:
            ask = Ask(rewriting(talk.question, talk.history), MOST_TOKENS, 0.0, seed=options.seed)
            if await self._apart(self._speaker.count, ask.messages) <= self._context - MOST_TOKENS:
                said, spent = await _all_said(self._speaker, ask)
                # a model that thinks for so long will do so each time
                self._rewrites = bool(said) or spent.reason != "length"
                written = await self._apart(read_rewritten, said, talk.question, talk.history)
        if not written:
            written = await self._apart(joined, talk.question, talk.history)
        return written, replace(spent, reason="stop")

    async def _apart(self, doing: Callable[..., Anything], *given: Any) -> Anything:
        return await asyncio.get_running_loop().run_in_executor(self._reading, partial(doing, *given))

    async def _search(self, question: str, options: Options) -> Found:
        if self._retriever is None:
            return Found(question, (), 1.0, True)
        look = partial(self._look, self._retriever, question, options)
        found = await asyncio.get_running_loop().run_in_executor(self._searching, look)
        return replace(found, answerable=found.answerable and bool(found.passages))

    def _look(self, retriever: Retriever, question: str, options: Options) -> Found:
        if self.index == "gone":
            raise RunError(ADVICE["gone"])
        return retriever.search(question, options.where, options.top_k)

    async def _say(self, asked: _Asked, options: Options) -> AsyncGenerator[Piece | Ending, None]:
        if self._speaker is None:
            said, reason = as_asked(await self._quoted(asked), options)
            yield Piece(said)
            yield Ending(reason, 0, 0)
            return
        answering = self._answering
        ask = Ask(
            messages=asked.prompt.messages,
            max_tokens=asked.most,
            temperature=answering.temperature if options.temperature is None else options.temperature,
            top_p=answering.top_p if options.top_p is None else options.top_p,
            seed=options.seed,
            stop=options.stop,
        )
        async with aclosing(self._speaker.say(ask)) as pieces:
            async for piece in pieces:
                yield piece

    async def _quoted(self, asked: _Asked) -> str:
        """What the passages say themselves."""
        near = None if self._retriever is None else self._retriever.nearness
        quote = partial(extract, asked.sources.question, asked.prompt.passages, near)
        said = await asyncio.get_running_loop().run_in_executor(self._searching, quote)
        return said or self._settings.refusal

    def _done(self, asked: _Asked, ending: Ending, outlet: Outlet, quoted: Outlet) -> Done:
        """quoted: what was said in place of an answer, if anything."""
        response, cited = outlet.response or quoted.response, outlet.cited or quoted.cited
        passages, wrote = asked.prompt.passages, self._speaker is not None and bool(outlet.response)
        return Done(
            ending=ending,
            citations=cited,
            invented=outlet.invented,
            stripped=outlet.stripped,
            abstained=response == self._settings.refusal or (wrote and finds_nothing(response, bool(cited))),
            response=response,
            prompt=asked.prompt.messages,
            ungrounded=unsupported(response, passages, asked.sources.question) if passages else (),
            quoted=bool(quoted.response),
        )

    def _count(self, messages: Sequence[Turn]) -> int:
        """Tokens of a prompt; a guess where there is no model to count them."""
        if self._speaker is not None:
            return self._speaker.count(messages)
        return sum(estimate(turn.content) for turn in messages)


def answering_of(recipe: Recipe) -> Answering:
    """How the assistant answers: as its section says, else as its student does."""
    settings = recipe.assistant or Settings()
    student = recipe.students.get(settings.model.removeprefix("students."))
    return settings.answering or (student.answering if isinstance(student, CausalStudent) else Answering())


@asynccontextmanager
async def open_assistant(recipe: Recipe, run: RunFolder) -> AsyncIterator[Assistant]:
    """The assistant of a recipe whose index and student are up to date.

    Raises RunError, TrainingError or TeacherError where one of its parts cannot be opened.
    """
    from rag.retriever import open_retriever
    from rag.speakers import open_speaker

    settings = recipe.assistant or Settings()
    async with AsyncExitStack() as stack:
        watch = IndexWatch(run) if recipe.retrieval else None
        retriever = stack.enter_context(open_retriever(recipe, run)) if recipe.retrieval else None
        speaker = None
        if settings.model != "extractive":
            speaker = await stack.enter_async_context(open_speaker(recipe, run))
        assistant = Assistant(settings, answering_of(recipe), retriever, speaker, watch)
        stack.callback(assistant.close)
        yield assistant


async def _all_said(speaker: Speaker, ask: Ask) -> tuple[str, Ending]:
    """An answer as a whole, without its thought."""
    said, ending = "", _NOTHING
    async with aclosing(speaker.say(ask)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Ending):
                ending = piece
                break
            said += "" if piece.thought else piece.text
    return without_thoughts(said), ending


def _outlet(asked: _Asked) -> Outlet:
    passages = asked.prompt.passages
    return Outlet([passage.number for passage in passages], _addresses(passages))


def _addresses(passages: Sequence[Passage]) -> frozenset[str]:
    """The addresses that an answer may name: the documents' own, and those that stand in what the model is shown."""
    links = frozenset(passage.link for passage in passages if passage.link)
    return web_addresses([shown_passage(passage) for passage in passages]) | {one for one in links if is_web(one)}


def _all_of(outlet: Outlet, piece: Piece) -> list[Piece]:
    return [*outlet.feed(piece), *outlet.close()]


def _together(ending: Ending, spent: Ending) -> Ending:
    """An ending, with the tokens of what was spent before."""
    prompt, completion = ending.prompt_tokens + spent.prompt_tokens, ending.completion_tokens + spent.completion_tokens
    return replace(ending, prompt_tokens=prompt, completion_tokens=completion)

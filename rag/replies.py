"""POST /v1/chat/completions: a question takes its slot, is answered whole or in a stream, and leaves its slot free when
the answer ends or its client goes.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from rag.assistant import Done, Sources
from rag.bodies import Departed, read_json, until_gone
from rag.feedback import Given
from rag.metrics import Metrics
from rag.openai_errors import ApiError, bad, fault
from rag.openai_protocol import Completion, sources, url_citations, usage
from rag.openai_request import ChatQuestion, read_question
from rag.prompting import estimate
from rag.service import Service, log_fault
from rag.speakers import Piece
from recipes.errors import AskError, RunError, TeacherError, TutelageError

_JSON = [(b"content-type", b"application/json")]
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


@dataclass(slots=True)
class Heard:
    """What has come of an answer so far."""

    sources: Sources | None = None
    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    done: Done | None = None

    def take(self, event: Sources | Piece | Done) -> None:
        """Add an event of Assistant.reply."""
        if isinstance(event, Piece):
            (self.thought if event.thought else self.text).append(event.text)
        elif isinstance(event, Sources):
            self.sources = event
        else:
            self.done = event

    def opening(self) -> dict[str, Any]:
        """What is known before the first word."""
        if self.sources is None:
            return {"sources": [], "query": ""}
        found = self.sources.found
        return {"sources": sources(found.passages), "query": found.query}

    def closing(self, done: Done) -> dict[str, Any]:
        """What is known after the last word."""
        passages = self.sources.found.passages if self.sources else ()
        cited = url_citations("".join(self.text), done.citations, passages)
        told = {"abstained": done.abstained, "quoted": done.quoted, "ungrounded": list(done.ungrounded)}
        return {"annotations": cited} | told

    def tokens(self, done: Done) -> tuple[int, int]:
        """Of the prompt and of the answer; about as many as a model would have counted, where none was asked."""
        ending = done.ending
        if ending.prompt_tokens or ending.completion_tokens:
            return ending.prompt_tokens, ending.completion_tokens
        return sum(estimate(turn.content) for turn in done.prompt), estimate("".join(self.text))

    def given(self, completion: Completion, question: ChatQuestion, done: Done) -> Given:
        """What a rating of it is about."""
        found = self.sources.found if self.sources else None
        return Given(
            id=completion.id,
            model=completion.model,
            question=question.messages[-1].content,
            query=found.query if found else "",
            documents=tuple(passage.document for passage in found.passages) if found else (),
            prompt=done.prompt,
            response=done.response,
            reasoning="".join(self.thought),
            aside="the model gave no answer, and passages are quoted" if done.quoted else "",
        )


class Completions:
    """The route, as an ASGI application."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._service
        settings = service.settings
        body = await read_json(scope, receive, settings.max_body_bytes, service.patience.body_seconds)
        question = read_question(body, service.model, settings.max_answer_tokens)
        completion = Completion(service.model, int(time.time()), question.usage)
        answer = _Answer(question, completion, service.metrics, settings.thoughts == "show")
        try:
            last = await until_gone(receive, self._work(answer, send))
        except Departed:
            service.metrics.answers.labels("departed").inc()
            return
        if not question.stream:
            await send({"type": "http.response.start", "status": 200, "headers": _JSON})
        await send({"type": "http.response.body", "body": last})

    async def _work(self, answer: _Answer, send: Send) -> bytes:
        """Answer, and return the last bytes that are to be sent. Raises ApiError where nothing was sent yet."""
        service = self._service
        async with service.slots.take():
            question = answer.question
            try:
                async with aclosing(service.assistant.reply(question.messages, question.options)) as events:
                    if question.stream:
                        await answer.stream(events, send)
                    else:
                        await answer.gather(events)
                last = answer.last()
            except Exception as error:
                service.metrics.answers.labels("refused" if isinstance(error, AskError) else "failed").inc()
                problem = _as_problem(error, service.log)
                if not answer.started:
                    raise problem from None
                return _event(problem.content())
        done = answer.ended()
        service.feedback.remember(answer.heard.given(answer.completion, question, done), question.messages[:-1])
        self._count(answer, done)
        return last

    def _count(self, answer: _Answer, done: Done) -> None:
        metrics = self._service.metrics
        prompt, completion = answer.heard.tokens(done)
        metrics.answers.labels("abstained" if done.abstained else done.ending.reason).inc()
        metrics.tokens.labels("prompt").inc(prompt)
        metrics.tokens.labels("completion").inc(completion)
        metrics.invented.inc(done.invented)
        metrics.stripped.inc(done.stripped)
        metrics.ungrounded.inc(len(done.ungrounded))
        metrics.whole.observe(time.monotonic() - answer.began)


class _Answer:
    """One answer on its way. thoughts: whether its client is sent what is thought. started: whether it has been sent
    anything.
    """

    def __init__(self, question: ChatQuestion, completion: Completion, metrics: Metrics, thoughts: bool) -> None:
        self.question, self.completion, self._metrics = question, completion, metrics
        self.heard, self._thoughts = Heard(), thoughts
        self.started = False
        self.began = time.monotonic()

    async def gather(self, events: AsyncIterator[Sources | Piece | Done]) -> None:
        """Take all of it."""
        async for event in events:
            self._hear(event)

    async def stream(self, events: AsyncIterator[Sources | Piece | Done], send: Send) -> None:
        """Send each piece as it comes. The status goes out with the first of them: until then an error has its own."""
        async for event in events:
            self._hear(event)
            if not self.started:
                self.started = True
                await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
                opening = {"role": "assistant", "content": ""} | self.heard.opening()
                await self._send(send, self.completion.chunk(opening))
            if isinstance(event, Piece) and event.text and (self._thoughts or not event.thought):
                key = "reasoning_content" if event.thought else "content"
                await self._send(send, self.completion.chunk({key: event.text}))

    def last(self) -> bytes:
        """The end of a stream, or the whole answer."""
        done, heard, completion = self.ended(), self.heard, self.completion
        finish = "length" if done.ending.reason == "length" else "stop"
        counted = usage(*heard.tokens(done))
        if not self.question.stream:
            message = {"content": "".join(heard.text)} | heard.opening() | heard.closing(done)
            if heard.thought and self._thoughts:
                message["reasoning_content"] = "".join(heard.thought)
            return orjson.dumps(completion.whole(message, finish, counted))
        end = _event(completion.chunk(heard.closing(done), finish))
        if self.question.usage:
            end += _event(completion.count(counted))
        return end + b"data: [DONE]\n\n"

    def ended(self) -> Done:
        """How it ended. Raises ApiError where it was broken off."""
        done = self.heard.done
        if done is None or done.ending.reason == "cancelled":
            raise fault(503, "the answer was broken off: the server is shutting down", "shutting_down")
        return done

    def _hear(self, event: Sources | Piece | Done) -> None:
        if isinstance(event, Piece) and not (self.heard.text or self.heard.thought):
            self._metrics.first.observe(time.monotonic() - self.began)
        self.heard.take(event)

    async def _send(self, send: Send, content: dict[str, Any]) -> None:
        await send({"type": "http.response.body", "body": _event(content), "more_body": True})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


def _as_problem(error: Exception, log: Callable[[str], None]) -> ApiError:
    """What the client is told. What is the operator's alone goes to `log`."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AskError):
        return bad(str(error))
    if isinstance(error, RunError):
        log(f"the catalogue cannot be searched: {error}")
        return fault(503, "the catalogue cannot be searched at present; this server's log says why", "no_catalogue")
    if isinstance(error, TutelageError):
        log(f"the model cannot answer: {error}")
        there = not isinstance(error, TeacherError)
        return fault(500 if there else 502, f"the model {'failed' if there else 'cannot be reached'}", "no_model")
    return log_fault(error, log)

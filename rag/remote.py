"""An OpenAI-compatible endpoint that answers: the recipe's teacher, vLLM, Ollama, llama.cpp, a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal, TypeVar

import aiohttp
import orjson
from yarl import URL

from rag.bounds import Bounds
from rag.deltas import Delta, read_delta
from rag.endpoint import Endpoint, find_endpoint
from rag.speakers import Ask, Ending, Piece
from rag.sse import Events
from rag.utterance import Utterance
from recipes.chat import Usage
from recipes.errors import AskError, TeacherError
from recipes.keys import redact
from recipes.rows import Turn, storable
from recipes.schema import Recipe
from synth.completions import read_completion
from synth.endpoint import CONNECT_SECONDS, network_fault, open_session, refusal, whole_body
from synth.faults import Fault, Kind

Anything = TypeVar("Anything")

BYTES_PER_TOKEN = 3
"""Of UTF-8, for the estimate that trims a prompt: English has about 4 to a token, so it errs on the short side."""
MOST_BODY_BYTES = 4_000_000
"""Of an answer that comes at once, or of a refusal. 1,024 tokens, the most that a client may ask for by default, are
25,000 characters at most (rag.bounds), and JSON has six bytes for the longest."""
MESSAGE_TOKENS = 4
"""What a chat format writes around a message, about."""

_ADVICE: dict[Kind, str] = {
    "web_page": "that is a web page: base_url must be the API's address, up to and with /v1",
    "unauthorised": "check the key, and its rights to the model",
    "not_found": "check the model's name and base_url",
    "quota": "the account's credit is used up",
    "redirected": "keys are not sent on: name the final address in base_url",
    "connection": "is the server running, and is base_url right?",
    "rate_limited": "ask again later",
    "rejected": "it does not take such a question",
}


class RemoteSpeaker:
    """An endpoint (see Speaker). context: what its prompts are trimmed to; what the model really takes is not known."""

    turns = alive = True

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession, context: int) -> None:
        self.name = endpoint.model
        self.context = context
        self._endpoint, self._session = endpoint, session
        self._url = URL(f"{endpoint.address}/chat/completions")

    def count(self, messages: Sequence[Turn]) -> int:
        """Tokens of the prompt that `messages` make, estimated from their bytes."""
        return sum(MESSAGE_TOKENS + _estimate(storable(one.content)) for one in messages)

    async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        """The answer as it comes, an Ending last; see Speaker. Closing it closes the connection.

        Raises AskError for a question that the endpoint finds too long, TeacherError where it gives no answer.
        """
        utterance, usage, bounds = Utterance(stop=ask.stop), Usage(), Bounds(ask.max_tokens)
        said, end = 0, None
        try:
            async with aclosing(self._deltas(ask)) as deltas:
                async for whole in deltas:
                    delta = bounds.within(whole)
                    usage, end = delta.usage or usage, delta.end or end
                    said += len(delta.text.encode()) + len(delta.thought.encode())
                    if delta.thought:
                        yield Piece(delta.thought, thought=True)
                    for piece in utterance.add(delta.text):
                        yield piece
                    if utterance.stopped or bounds.over:
                        break
                    await asyncio.sleep(0)  # a body that is all there would else keep the loop from other work
        except Fault as fault:
            raise self._error(fault) from None
        for piece in utterance.end():
            yield piece
        prompt = usage.prompt or self.count(ask.messages)
        completion = usage.completion or -(-said // BYTES_PER_TOKEN)
        # an endpoint that knows stop strings cuts before the first word, too
        cut = utterance.stopped or (bool(ask.stop) and end == "stop" and not said)
        yield Ending("stop" if utterance.stopped else end or "stop", prompt, completion, cut)

    async def _deltas(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """What the endpoint says, event by event. Raises Fault."""
        response = None
        try:
            response = await self._asked(self._body(ask))
            if "event-stream" not in response.headers.get("content-type", ""):  # a server that does not stream
                yield _whole(await self._in_time(whole_body(response, MOST_BODY_BYTES)), response)
                return
            events, ended, last = Events(), False, _now()
            while block := await self._in_time(response.content.readany(), since=last):
                found = events.add(block)
                for data in found:
                    if data == b"[DONE]":
                        return
                    delta = read_delta(data)
                    ended = ended or delta.end is not None
                    yield delta
                last = _now() if found else last  # now: who asked may have taken his time with what was said
            if not ended:
                raise Fault("broken", "the answer broke off")
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise network_fault(error, self._endpoint.timeout) from None
        finally:
            if response is not None:
                response.close()

    async def _asked(self, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """The answer's headers, its body to come. Where a server does not know one of our own fields, without it."""
        while True:
            post = self._session.post(self._url, data=orjson.dumps(body), allow_redirects=False)
            response: aiohttp.ClientResponse = await self._in_time(post)
            if response.status == 200:
                return response
            try:
                fault = refusal(response, await self._in_time(whole_body(response, MOST_BODY_BYTES)))
            finally:
                response.close()
            if fault.kind != "rejected" or not _mended(body, fault.message):
                raise fault

    async def _in_time(self, doing: Awaitable[Anything], since: float | None = None) -> Anything:
        """Wait for it; no longer than the timeout after the last word, for which a comment does not count."""
        passed = 0.0 if since is None else _now() - since
        return await asyncio.wait_for(doing, self._endpoint.timeout - passed)

    def _body(self, ask: Ask) -> dict[str, Any]:
        optional = {"top_p": ask.top_p, "seed": ask.seed, "stop": list(ask.stop) or None}
        return {
            "model": self._endpoint.model,
            "messages": [{"role": turn.role, "content": storable(turn.content)} for turn in ask.messages],
            "temperature": ask.temperature,
            "max_tokens": ask.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        } | {name: value for name, value in optional.items() if value is not None}

    def _error(self, fault: Fault) -> AskError | TeacherError:
        if fault.kind == "rejected" and (fault.status == 413 or "context" in fault.message.lower()):
            return AskError(f"the question and what belongs to it are too long for {self.name}: ask a shorter one")
        where = f"{self._endpoint.setting} at {self._endpoint.address}"
        advice = _ADVICE.get(fault.kind, "ask again later")
        return TeacherError(redact(f"{where} gave no answer ({fault}): {advice}"))


def _mended(body: dict[str, Any], said: str) -> bool:
    """Take out of a body what its server says it does not know; whether there was such a thing."""
    refused = [name for name in ("stream_options", "temperature", "top_p") if name in said and name in body]
    if refused:  # a reasoning model takes its own temperature alone
        del body[refused[0]]
        return True
    if "max_completion_tokens" in said and "max_tokens" in body:  # OpenAI's reasoning models
        body["max_completion_tokens"] = body.pop("max_tokens")
        return True
    return False


def _whole(body: bytes, response: aiohttp.ClientResponse) -> Delta:
    """An answer that came at once."""
    reply = read_completion(body, response.headers.get("content-type", ""))
    end: Literal["stop", "length"] = "length" if reply.finish_reason == "length" else "stop"
    return Delta(reply.text or reply.refusal or "", end=end, usage=reply.usage)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _estimate(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


@asynccontextmanager
async def open_remote(recipe: Recipe) -> AsyncIterator[RemoteSpeaker]:
    """The endpoint that `assistant` names; nothing is sent yet. Raises TeacherError as find_endpoint does."""
    assert recipe.assistant is not None
    endpoint = find_endpoint(recipe)
    limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_SECONDS, endpoint.timeout))
    async with open_session(URL(endpoint.address), endpoint.key, limits, recipe.assistant.concurrency) as session:
        yield RemoteSpeaker(endpoint, session, recipe.assistant.context_tokens)

"""Fireworks through langchain-fireworks: the only file that imports it (and, being slow to import, only when opened).

What comes back is the same Reply, and the same Fault, as `endpoint.py` makes of the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from recipes.chat import ChatRequest, Message, Reply
from synth.completions import error_message, read_allowance, read_choice, read_usage, retry_after
from synth.faults import Fault, kind_of_status
from synth.rates import Allowance

if TYPE_CHECKING:
    from httpx import Response
    from langchain_core.outputs import Generation
    from langchain_fireworks import ChatFireworks

_CONNECT_SECONDS = 20.0


class Fireworks:
    """A chat model behind langchain's ChatFireworks. Use as an asynchronous context manager.

    allowance: the last rate-limit headers seen, or None.
    """

    def __init__(self, address: str, model: str, key: str, timeout: float, concurrency: int) -> None:
        self.allowance: Allowance | None = None
        self._address = address
        self._model = model
        self._key = key
        self._timeout = timeout
        self._concurrency = concurrency
        self._chat: ChatFireworks | None = None

    async def __aenter__(self) -> Fireworks:
        from fireworks import AsyncFireworks, DefaultAioHttpClient
        from httpx import Limits, Timeout
        from langchain_fireworks import ChatFireworks
        from pydantic import SecretStr

        timeout = Timeout(self._timeout, connect=min(_CONNECT_SECONDS, self._timeout))
        self._sdk = AsyncFireworks(
            api_key=self._key,
            base_url=self._address,
            timeout=timeout,
            max_retries=0,
            http_client=DefaultAioHttpClient(
                follow_redirects=False,  # the key goes where the recipe says and nowhere else
                limits=Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency),
                event_hooks={"response": [self._hear]},
            ),
        )
        self._chat = ChatFireworks(
            model_name=self._model,
            api_key=SecretStr(self._key),
            base_url=self._address,
            timeout=timeout,
            max_retries=0,
            async_client=self._sdk.chat.completions,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._chat is not None:
            self._chat.close()
            await self._sdk.close()

    async def complete(self, request: ChatRequest) -> Reply:
        """Ask once. Raises Fault where there is no reply."""
        assert self._chat is not None, "the teacher is not open"
        options = request.body()
        del options["model"], options["messages"]
        messages = [_langchain(message) for message in request.messages]
        try:
            result = await asyncio.wait_for(self._chat.agenerate([messages], **options), self._timeout)
        except asyncio.TimeoutError:
            raise Fault("timeout", f"no answer within {self._timeout:g} s") from None
        except Exception as error:  # the SDK has no common ground for what it raises
            _raise_fault(error, self._timeout)
        generations = result.generations[0] if result.generations else []
        usage = read_usage((result.llm_output or {}).get("token_usage"))
        return read_choice([_choice(one) for one in generations], usage)

    async def _hear(self, response: Response) -> None:
        self.allowance = read_allowance(response.headers) or self.allowance


def _langchain(message: Message) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    kind = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}[message.role]
    return kind(content=message.content)


def _choice(generation: Generation) -> dict[str, Any]:
    """A langchain generation as the choice it was read from."""
    info = generation.generation_info or {}
    message = getattr(generation, "message", None)
    content = message.content if message is not None else generation.text
    return {
        "message": {"content": content},
        "finish_reason": info.get("finish_reason"),
        "logprobs": info.get("logprobs"),
    }


def _raise_fault(error: Exception, timeout: float) -> NoReturn:
    """What the SDK or langchain raised as a Fault."""
    import aiohttp
    import httpx
    from fireworks import APIConnectionError, APIStatusError

    causes = list(_causes(error))
    if isinstance(error, APIStatusError):
        body, status = error.response.content, error.response.status_code
        kind = kind_of_status(status, body[:4096].decode("utf-8", "replace"))
        raise Fault(kind, error_message(body), status, retry_after(error.response.headers)) from None
    # httpx-aiohttp calls a connection that broke after the request a ConnectTimeout: what lies beneath tells
    deepest = causes[-1]
    said = str(deepest) or type(deepest).__name__
    if any(isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)) for cause in causes):
        raise Fault("connection", said) from None
    if isinstance(deepest, (asyncio.TimeoutError, TimeoutError, httpx.TimeoutException)):
        raise Fault("timeout", f"no answer within {timeout:g} s") from None
    if isinstance(error, (APIConnectionError, httpx.TransportError)):
        raise Fault("broken", said) from None
    if isinstance(error, (TypeError, KeyError, AttributeError, IndexError, ValueError)):
        raise Fault("bad_body", f"langchain-fireworks cannot read the answer ({error})") from None
    raise error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""Any OpenAI-compatible endpoint over HTTP: OpenAI, DeepSeek, vLLM, Ollama, llama.cpp ...

aiohttp and orjson, one connection per call in flight, kept alive. Redirects are not followed, so that the key goes
where the recipe says and nowhere else; names that resolve to link-local or metadata addresses are refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
from types import TracebackType
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from recipes.addresses import address_problem
from recipes.chat import ChatRequest, Reply
from recipes.keys import redact
from synth.completions import error_message, read_allowance, read_completion, retry_after
from synth.faults import Fault, kind_of_status
from synth.rates import Allowance

MOST_BODY_BYTES = 32_000_000
"""A larger body is no chat completion."""
CONNECT_SECONDS = 20.0


class Endpoint:
    """A chat model behind `POST {address}/chat/completions`. Use as an asynchronous context manager.

    allowance: the last rate-limit headers seen, or None.
    """

    def __init__(self, address: str, key: str | None, timeout: float, concurrency: int) -> None:
        self.allowance: Allowance | None = None
        self._url = URL(f"{address}/chat/completions")
        self._timeout = timeout
        self._concurrency = concurrency
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Endpoint:
        limits = aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(CONNECT_SECONDS, self._timeout))
        self._session = open_session(self._url, self._key, limits, self._concurrency)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, request: ChatRequest) -> Reply:
        """Ask once. Raises Fault where there is no reply."""
        assert self._session is not None, "the endpoint is not open"
        try:
            async with self._session.post(
                self._url, data=orjson.dumps(request.body()), allow_redirects=False
            ) as response:
                body = await whole_body(response)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise network_fault(error, self._timeout) from None
        headers = response.headers
        allowance = read_allowance(headers)
        if allowance is not None:
            self.allowance = allowance
        if response.status == 200:
            return read_completion(body, headers.get("content-type", ""))
        raise refusal(response, body)


def open_session(url: URL, key: str | None, timeout: aiohttp.ClientTimeout, connections: int) -> aiohttp.ClientSession:
    """A session for calls to `url`: no cookies, guarded addresses, the proxy that the environment names."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections, ttl_dns_cache=300, keepalive_timeout=30, resolver=_GuardedResolver()
        ),
        headers=headers, cookie_jar=aiohttp.DummyCookieJar(), proxy=_proxy(str(url)), timeout=timeout,
    )  # fmt: skip


def refusal(response: aiohttp.ClientResponse, body: bytes) -> Fault:
    """An answer whose status is not 200."""
    said, kind = error_message(body), kind_of_status(response.status, body[:4096].decode("utf-8", "replace"))
    if kind == "redirected":
        said = f"to {_host(response.headers.get('location', ''))}"
    return Fault(kind, said, response.status, retry_after(response.headers))


class _GuardedResolver(ThreadedResolver):
    """Names -> addresses, but for those that hand out a cloud machine's credentials."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for one in found:
            address = f"[{one['host']}]" if ":" in one["host"] else one["host"]
            if address_problem(f"https://{address}/") is not None:
                raise OSError(None, f"{host} leads to {one['host']}, a link-local or metadata address")
        return found


def _host(location: str) -> str:
    """The host of a redirect, for a message."""
    try:
        return redact(urlsplit(location).netloc)[:200] or "nowhere"
    except ValueError:
        return "an address that cannot be read"


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


async def whole_body(response: aiohttp.ClientResponse, most: int | None = None) -> bytes:
    """The whole body, unless it is larger than any completion, or than `most` bytes."""
    blocks: list[bytes] = []
    size, most = 0, MOST_BODY_BYTES if most is None else most
    while block := await response.content.readany():
        blocks.append(block)
        size += len(block)
        if size > most:
            raise Fault("bad_body", f"the answer is larger than {most:,} bytes", response.status)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def network_fault(error: Exception, timeout: float) -> Fault:
    """A network error as a Fault: before the request was sent or after it, when it may be billed."""
    said = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        return Fault("connection", f"cannot connect to {error.host}:{error.port}: {_why(error)}")
    if isinstance(error, (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)):
        return Fault("connection", said)
    if isinstance(error, asyncio.TimeoutError):
        return Fault("timeout", f"no answer within {timeout:g} s")
    return Fault("broken", said)


def _why(error: aiohttp.ClientConnectorError) -> str:
    """What was in the way; aiohttp's own text speaks of `ssl:default` wherever the address is."""
    certificate = aiohttp.ClientConnectorCertificateError
    cause: Exception = error.certificate_error if isinstance(error, certificate) else error.os_error
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)
    return getattr(cause, "strerror", None) or str(cause)

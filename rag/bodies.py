"""The body of a request: bounded in bytes and in seconds. And what is done when its sender leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope

from rag.openai_errors import ApiError, bad

DRAIN_BYTES = 8 << 20
DRAIN_SECONDS = 2.0

Result = TypeVar("Result")


class Departed(Exception):
    """The client has gone: there is nobody to answer."""


async def read_json(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """The body, which must call itself JSON. Raises ApiError (400, 408, 413, 415), Departed.

    That it must do so keeps web pages out: a browser sends JSON to another site only where that site allows it.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the body must be JSON, with the header content-type: application/json")
    if headers.get(b"content-encoding", "identity").strip().lower() != "identity":
        raise ApiError(415, "the body must not be compressed")
    length = headers.get(b"content-length", "0")
    if not length.isdecimal():
        raise bad("content-length must be a number")
    if len(length) > 18 or int(length) > most:
        raise _too_large(most)
    try:
        return await asyncio.wait_for(_read(receive, most), seconds)
    except asyncio.TimeoutError:
        raise ApiError(408, f"the body did not come within {seconds:g} seconds") from None


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Departed
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"the body is over {most:,} bytes", code="body_too_large")


async def drain(receive: Receive) -> None:
    """Read and drop what is left of a body that was refused, within limits: a connection that is closed with bytes
    unread is reset, and its client may never see the answer.
    """

    async def read() -> None:
        left = DRAIN_BYTES
        while left > 0:
            message = await receive()
            if not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))

    try:
        await asyncio.wait_for(read(), DRAIN_SECONDS)
    except asyncio.TimeoutError:
        pass


async def until_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` comes to. The moment the client leaves it is cancelled and cleaned up, and Departed is raised.

    The last part of an answer is to be sent after it: from then on a server says that the client has gone.
    """

    async def departure() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(departure())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Departed
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)

"""An OpenAI-compatible server that streams, on a loopback port of the running event loop, as a script says.

async with Streams([Stream([delta("Hel"), 0.01, delta("lo", "stop"), DONE])]) as server:
    ... ask server.url ...
    server.seen[0].body
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\n\n"


def event(**fields: Any) -> bytes:
    """A line of data and the empty one after it."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(content: Any = None, finish: str | None = None, **more: Any) -> bytes:
    """A piece of the answer."""
    said = {"content": content} if content is not None else {}
    return event(choices=[{"index": 0, "delta": said | more, "finish_reason": finish}])


@dataclass
class Stream:
    """One answer: bytes to send, seconds to wait; `None` waits until the client is gone."""

    parts: Sequence[bytes | float | None]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


@dataclass
class Seen:
    """One request as it came, and whether its client left before the answer's end."""

    headers: dict[str, str]
    body: dict[str, Any]
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Streams:
    """Use as an asynchronous context manager; the last of the answers is given again and again."""

    def __init__(self, answers: Sequence[Stream]) -> None:
        self._answers = list(answers)
        self.seen: list[Seen] = []
        self.open = self.most_open = 0

    async def __aenter__(self) -> Streams:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        seen = Seen(headers, json.loads(await reader.readexactly(int(headers["content-length"]))))
        self.seen.append(seen)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        fields = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        writer.write(f"HTTP/1.1 {answer.status} .\r\nconnection: close\r\n{fields}\r\n".encode())
        for part in answer.parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            elif await _gone(reader, part):
                seen.left.set()
                return


async def _gone(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Whether the client leaves within so many seconds."""
    try:
        return not await asyncio.wait_for(reader.read(1), seconds)
    except asyncio.TimeoutError:
        return False
    except ConnectionError:
        return True

"""A teacher to test against: an OpenAI-compatible server on a loopback port, with faults by probability or by script.

    with TeacherStub(faults={"429": 0.1, "cut": 0.05}, seed=3) as stub:
        ... ask stub.url ...
        stub.asked, stub.billed

It runs in a thread of its own and logs what it was asked and what a provider would bill for.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from recipes.chat import Usage

Answer = Callable[[dict], "str | dict"]

FAULTS = ("429", "429_plain", "500", "503", "reset", "cut", "empty", "length", "html", "silent")
"""429 with and without Retry-After; reset before an answer; cut inside one; no choices; finish_reason length; a web
page in place of JSON; no answer at all. Of these the stub bills all but 429 and 5xx, as a provider may."""


def echo(body: dict) -> str:
    """The default answer: the last message, as a JSON object."""
    return json.dumps({"reason": "because", "label": "neutral", "asked": body["messages"][-1]["content"]})


@dataclass
class Canned:
    """One scripted HTTP answer."""

    status: int = 200
    body: bytes | dict = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict


class TeacherStub:
    """Use as a context manager. `script` is answered first, one entry per request; then `faults` strike by chance.

    answer: request body -> text of the reply, or a whole message. tokens: request body -> usage; by default a quarter
    of the prompt's bytes. retry_after: the header of a 429, in seconds. headers: added to every reply.
    """

    def __init__(
        self,
        answer: Answer = echo,
        faults: Mapping[str, float] | None = None,
        *,
        script: Sequence[Canned | str] = (),
        seed: int = 0,
        latency: float = 0.0,
        retry_after: float = 0.01,
        tokens: Callable[[dict], Usage] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        unknown = set(faults or {}) - set(FAULTS)
        assert not unknown, unknown
        self.answer = answer
        self.faults = dict(faults or {})
        self.script = list(script)
        self.rng = random.Random(seed)
        self.latency = latency
        self.retry_after = retry_after
        self.tokens = tokens or _tokens
        self.headers = dict(headers or {})
        self.seen: list[Seen] = []
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self.billed: list[Usage] = []
        self.in_flight = self.most_in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> TeacherStub:
        self._thread.start()
        assert self._ready.wait(10), "the stub did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        self.connections: set[asyncio.Transport] = set()
        make = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        server = self._loop.run_until_complete(make)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def pick(self) -> str | Canned | None:
        """What goes wrong with the request at hand."""
        if self.script:
            return self.script.pop(0)
        draw = self.rng.random()
        for kind, share in self.faults.items():
            if draw < share:
                return kind
            draw -= share
        return None

    def reply(self, body: dict, fault: str | None) -> bytes:
        """The HTTP answer to a request that gets one."""
        if fault in ("429", "429_plain"):
            after = {"retry-after": f"{self.retry_after:g}"} if fault == "429" else {}
            return http(429, {"error": {"message": "slow down"}}, after)
        if fault in ("500", "503"):
            return http(int(fault), {"error": {"message": "the server fell over"}})
        usage = self.tokens(body)
        self.billed.append(usage)
        if fault == "html":
            return http(200, b"<html><body>please log in</body></html>", {"content-type": "text/html"})
        said = self.answer(body)
        message = said if isinstance(said, dict) else {"role": "assistant", "content": said, "refusal": None}
        finish = "length" if fault == "length" else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        counted = {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
        }
        choices = [] if fault == "empty" else [choice]
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": choices}
        if fault not in ("empty",):
            self.answered[_name(body)] += 1
        return http(200, {**whole, "usage": counted}, self.headers)


class _Connection(asyncio.Protocol):
    def __init__(self, stub: TeacherStub) -> None:
        self.stub = stub
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.stub.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stub.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.asked(first.split(" ")[1], headers, rest[:length])

    def asked(self, path: str, headers: dict[str, str], raw: bytes) -> None:
        stub = self.stub
        body = json.loads(raw) if raw else {}
        stub.seen.append(Seen(path, headers, body))
        if not path.endswith("/chat/completions"):
            self.transport.write(http(404, {"error": {"message": "no such path"}}))
            return
        stub.asked[_name(body)] += 1
        stub.in_flight += 1
        stub.most_in_flight = max(stub.most_in_flight, stub.in_flight)
        fault = stub.pick()
        if stub.latency:
            stub._loop.call_later(stub.latency, self.answer, body, fault)
        else:
            self.answer(body, fault)

    def answer(self, body: dict, fault: str | Canned | None) -> None:
        stub = self.stub
        stub.in_flight -= 1
        if isinstance(fault, Canned):
            stub.struck[str(fault.status)] += 1
            self.transport.write(http(fault.status, fault.body, fault.headers))
            return
        stub.struck[fault or "ok"] += 1
        if fault in ("reset", "silent"):
            stub.billed.append(stub.tokens(body))
            if fault == "reset":
                self.transport.abort()
            return
        reply = stub.reply(body, fault)
        if self.transport.is_closing():
            return
        self.transport.write(reply[: len(reply) * 2 // 3] if fault == "cut" else reply)
        if fault == "cut":
            stub.answered[_name(body)] -= 1
            self.transport.close()


def http(status: int, body: bytes | dict, headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP/1.1 answer."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", **(headers or {}), "content-length": str(len(payload))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} .\r\n{lines}\r\n".encode() + payload


def _name(body: dict) -> str:
    """What tells requests apart in the logs: the last message."""
    return str(body["messages"][-1]["content"])


def _tokens(body: dict) -> Usage:
    size = sum(len(message["content"].encode()) for message in body["messages"]) // 4 + 1
    return Usage(size, size // 2, min(20, body.get("max_tokens", 20)))

"""The first thing a request meets: the gate, safe headers on whatever is answered, one line of log, and an end to
errors that nobody caught.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.bodies import drain
from rag.openai_errors import ApiError
from rag.pages import SAFETY
from rag.service import Service, log_fault


class Entrance:
    """An ASGI application around another. keyless: paths that are served without the key; routes: paths as they are
    counted.
    """

    def __init__(self, app: ASGIApp, service: Service, keyless: frozenset[str], routes: tuple[str, ...]) -> None:
        self._app, self._service, self._keyless = app, service, keyless
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            visit = _Visit(scope, receive, send)
            try:
                await self._answer(visit)
            finally:
                self._note(visit)

    async def _answer(self, visit: _Visit) -> None:
        scope = visit.scope
        read = scope["method"] in ("GET", "HEAD") and scope["path"] in self._keyless
        try:
            problem = self._service.gate.refusal(scope["headers"], keyless=read)
            if problem is not None:
                await visit.refuse(problem)
            else:
                await self._app(scope, visit.receive, visit.send)
        except Exception as error:
            problem = log_fault(error, self._service.log)
            if not visit.status:
                await visit.refuse(problem)

    def _note(self, visit: _Visit) -> None:
        """Count the request and log it: no query, no body, no header."""
        scope, seconds = visit.scope, time.monotonic() - visit.began
        path = scope["path"]
        route = path if path in self._routes else "other"
        status = "departed" if visit.departed else str(visit.status)
        self._service.metrics.requests.labels(route, status).inc()
        self._service.log(f"{scope['method'][:16]} {path[:200]!r} {status} {seconds:.3f} s")


class _Visit:
    """One request and what became of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive, self._send = receive, send
        self.began = time.monotonic()
        self.status = 0
        self.departed = False
        self._complete = False
        headers = dict(scope["headers"])
        self._unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._expects = b"expect" in headers

    async def receive(self) -> Message:
        """The next part of the body."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self.departed = True
        if not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer. One to a body that was not read to its end is the last of its connection."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), *SAFETY]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            if self._unread:
                headers.append((b"connection", b"close"))
            await self._send({**message, "headers": headers})
            return
        self._complete = not message.get("more_body", False)
        if self._complete and self._unread:
            await self._send({**message, "more_body": True})
            if not self._expects and self.status != 408:
                await drain(self.receive)
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._send(message)

    async def refuse(self, problem: ApiError) -> None:
        """Answer with an error."""
        body = problem.body()
        fields: dict[str, Any] = {"content-type": "application/json", "content-length": len(body), **problem.headers}
        headers = [(name.encode(), str(value).encode()) for name, value in fields.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})

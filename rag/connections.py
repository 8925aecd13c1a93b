"""uvicorn's HTTP/1.1 connection with an end to what a slow or silent client may take.

uvicorn (seen in 0.54) waits without end for the head of a request and for a client that does not read its answer; its
write buffer takes 64 KiB before it waits at all. Bodies have their limit in `bodies.py`. h11 is used, and not
httptools, because it bounds the size of a head (URL and headers) and refuses whatever is not quite HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rag.openai_errors import ApiError


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one connection: seconds for a request's head, for its body, for a client to take what was written and
    for a connection that nobody uses; bytes of a head; and how many connections there may be.
    """

    head_seconds: float = 10.0
    body_seconds: float = 20.0
    write_seconds: float = 30.0
    idle_seconds: int = 30
    head_bytes: int = 16_384
    connections: int = 512


class TimedConnection(H11Protocol):
    """A connection that is cut where its client takes too long. on_malformed: called for what is not HTTP."""

    def __init__(self, patience: Patience, on_malformed: Callable[[], None], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience, self._on_malformed = patience, on_malformed
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # pause_writing as soon as the client does not keep up
        if len(self.connections) > self._patience.connections:
            self._refuse(ApiError(503, "too many connections: try again later", kind="server_error", code="busy"))
        else:
            self._watch_head()

    def data_received(self, data: bytes) -> None:
        step = self._patience.head_bytes  # h11 bounds a head that is not whole yet: never show it much more than that
        for start in range(0, len(data), step):
            if not self.transport.is_closing():
                super().data_received(data[start : start + step])
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head, self._unread):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self._patience.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is not HTTP."""
        self._on_malformed()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(ApiError(400, "this is not HTTP/1.1, or its head is too long", kind="invalid_request_error"))
        else:
            self.transport.abort()  # in the middle of an answer nothing else can be said

    def _refuse(self, error: ApiError) -> None:
        body = error.body()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        parts = [h11.Response(status_code=error.status, headers=headers, reason=b""), h11.Data(data=body)]
        self.transport.write(b"".join(self.conn.send(part) or b"" for part in [*parts, h11.EndOfMessage()]))
        self.transport.close()

    def _watch_head(self) -> None:
        """Start the clock where the head of a request has to come, and stop it when it is there."""
        waits = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if waits and self._head is None:
            self._head = self.loop.call_later(self._patience.head_seconds, self.transport.abort)
        elif not waits and self._head is not None:
            self._head.cancel()
            self._head = None


def connection_class(patience: Patience, on_malformed: Callable[[], None]) -> type[H11Protocol]:
    """The connection for uvicorn's `http`."""

    class Connection(TimedConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(patience, on_malformed, *args, **kwargs)

    return Connection

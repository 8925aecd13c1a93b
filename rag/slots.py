"""How many answers are given at once, and how many questions may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rag.openai_errors import ApiError


class Slots:
    """`concurrency` answers at once, `queue` questions waiting for one to end; first come, first served."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._free = asyncio.Semaphore(concurrency)
        self._queue = queue
        self.answering = 0
        self.waiting = 0

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot. Raises ApiError (429) where too many wait already."""
        if self._free.locked() and self.waiting >= self._queue:
            message = "too many questions are waiting: ask again later"
            headers = {"retry-after": "2"}
            raise ApiError(429, message, kind="requests", code="rate_limit_exceeded", headers=headers)
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.answering += 1
        try:
            yield
        finally:
            self.answering -= 1
            self._free.release()

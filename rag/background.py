"""An assistant in an event loop of its own, for a program that waits at a prompt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING

from recipes.rows import Turn

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from rag.assistant import Assistant, Done, Options, Sources
    from rag.speakers import Piece

_TICK = 0.1
"""Seconds between looks for Ctrl-C, which does not interrupt a longer wait on Windows."""


class Background:
    """Opens an assistant in a thread, and hands over what it says. Use as a context manager."""

    def __init__(self, opening: AbstractAsyncContextManager[Assistant]) -> None:
        self._opening = opening
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: Future[Assistant] = Future()

    def __enter__(self) -> Background:
        self._thread.start()
        self._over = asyncio.Event()
        self._holding = asyncio.run_coroutine_threadsafe(self._hold(), self._loop)
        while not self._open.done():
            self._thread.join(_TICK)
        self._assistant = self._open.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        try:
            self._holding.result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _hold(self) -> None:
        """Open the assistant and close it in one task."""
        try:
            async with self._opening as assistant:
                self._open.set_result(assistant)
                await self._over.wait()
        except BaseException as error:
            if self._open.done():
                raise
            self._open.set_exception(error)

    def reply(self, messages: Sequence[Turn], options: Options) -> Generator[Sources | Piece | Done, None, None]:
        """What the assistant says, as it comes. A caller that stops (Ctrl-C) stops the answer."""
        said: SimpleQueue[Sources | Piece | Done | None] = SimpleQueue()
        pumping: list[asyncio.Task[None]] = []

        async def pump() -> None:
            async with aclosing(self._assistant.reply(messages, options)) as events:
                async for event in events:
                    said.put(event)

        def over(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                task.exception()  # nobody may be there any more to look at it
            said.put(None)

        def begin() -> None:
            pumping.append(self._loop.create_task(pump()))
            pumping[0].add_done_callback(
                over
            )  # a `finally` of pump does not run where it is cancelled before it begins

        self._loop.call_soon_threadsafe(begin)
        ended = False
        try:
            while not ended:
                with suppress(Empty):
                    event = said.get(timeout=_TICK)
                    ended = event is None
                    if event is not None:
                        yield event
            pumping[0].result()
        finally:
            self._loop.call_soon_threadsafe(lambda: pumping[0].cancel())
            while not ended:  # the next question finds its slot free
                ended = said.get() is None

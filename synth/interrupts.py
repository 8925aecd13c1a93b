"""Ctrl-C as a wish to stop cleanly, on any platform."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the running event loop at every Ctrl-C while the block runs, instead of raising."""
    if not hears_signals():
        yield
        return
    loop = asyncio.get_running_loop()

    def heard(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)  # also wakes a loop that sleeps (Windows has no add_signal_handler)

    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)


def hears_signals() -> bool:
    """Whether Ctrl-C can be heard here: by the main thread alone, and not by what a shell started in its background."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return not ignored and threading.current_thread() is threading.main_thread()

"""Ctrl-C and SIGTERM as a wish to stop cleanly, on any platform."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from recipes.errors import Terminated


@contextmanager
def on_interrupt(stop: Callable[[KeyboardInterrupt], None]) -> Iterator[None]:
    """Call `stop` in the running event loop at every Ctrl-C and SIGTERM while the block runs, instead of raising.

    It is told what to raise when all is settled.
    """
    loop = asyncio.get_running_loop()

    def heard(number: int, _frame: FrameType | None) -> None:
        end = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        loop.call_soon_threadsafe(stop, end)  # also wakes a loop that sleeps (Windows has no add_signal_handler)

    before = {number: signal.signal(number, heard) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, handler if handler is not None else default)


def _heard() -> list[signal.Signals]:
    """The signals to listen to: in the main thread alone, and none that is ignored."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]


def hears_signals() -> bool:
    """Whether Ctrl-C can be heard here: by the main thread alone, and not by what a shell started in its background."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return not ignored and threading.current_thread() is threading.main_thread()

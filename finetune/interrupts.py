"""Ctrl-C while a student is trained: the first is a wish to stop where it can be gone on, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from recipes.console import say
from synth.interrupts import hears_signals


@dataclass
class Wish:
    """heard: whether there was a Ctrl-C."""

    heard: bool = False


@contextmanager
def on_first_interrupt(sentence: str) -> Iterator[Wish]:
    """While the block runs, say the sentence at the first Ctrl-C and note it; the next one raises KeyboardInterrupt."""
    wish = Wish()
    if not hears_signals():
        yield wish
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def heard(_number: int, _frame: FrameType | None) -> None:
        wish.heard = True
        signal.signal(signal.SIGINT, before)
        say(sentence)

    signal.signal(signal.SIGINT, heard)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, before)

"""What every launcher says to a person: plain sentences on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")
"""A provider's message or a data file must not move the cursor or colour the terminal."""


def say(sentence: str) -> None:
    """One line to the user."""
    print(sentence.translate(_CONTROL), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Whether a person is there to see a live line and to answer a question."""
    return sys.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()


def show(line: str) -> None:
    """One line of a result, on stdout."""
    print(line.translate(_CONTROL))

"""What every launcher says to a person: plain sentences on stderr, so that stdout stays for results."""

from __future__ import annotations

import os
import sys

from recipes.errors import TeacherError

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")
"""A provider's message or a data file must not move the cursor or colour the terminal."""


def printable(text: str) -> str:
    """`text` with what would steer the terminal replaced."""
    return text.translate(_CONTROL)


def say(sentence: str) -> None:
    """One line to the user; of several processes that do one work the first alone speaks."""
    if os.environ.get("RANK", "0") == "0":
        warn(sentence)


def warn(sentence: str) -> None:
    """One line to the user, whichever process this is."""
    print(printable(sentence), file=sys.stderr, flush=True)


def is_terminal() -> bool:
    """Whether a person is there to see a live line and to answer a question."""
    return sys.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()


def may_spend() -> bool:
    """Ask the person at the terminal whether to go on with what costs money; only a plain yes is one."""
    say("This costs money. Go on? [y/N]")
    try:
        answer = input()
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def agree_to_spend(who: str, cost: str) -> None:
    """Before the first paid call of `who`: have the person at the terminal agree. cost: what it will come to, in words.

    Raises TeacherError where the answer is no, and where nobody is there to ask: silence is no yes.
    """
    if not is_terminal():
        raise TeacherError(
            f"{who} costs money ({cost}), and there is no terminal to ask in, so nothing was asked or paid: "
            "add --yes (Python: yes=True) to agree"
        )
    if not may_spend():
        raise TeacherError("stopped before the first call: nothing was asked or paid (--yes leaves the question out)")


def show(line: str) -> None:
    """One line of a result, on stdout."""
    print(printable(line))

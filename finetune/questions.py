"""The questions that a student is asked: one of the command line, or each line of the input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recipes.console import is_terminal
from recipes.errors import TrainingError


@dataclass(frozen=True)
class Questions:
    """What is asked, in order. several: there may be more than one; headed: an answer stands under its question."""

    each: Iterable[str]
    several: bool = False
    headed: bool = False


def one_question(text: str) -> Questions:
    """A question of the command line."""
    return Questions([text])


def typed_questions() -> Questions:
    """Each line of the input that is not empty. A file or a pipe is read to its end first, a terminal line by line; who
    typed a question sees it, so it stands over its answer only where that goes elsewhere.

    Raises TrainingError where the input is empty.
    """
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    if sys.stdin.isatty():
        return Questions(_as_typed(), several=True, headed=not sys.stdout.isatty())
    lines = [line.strip() for line in sys.stdin.read().removeprefix("\ufeff").splitlines()]
    asked = [line for line in lines if line]
    if not asked:
        raise TrainingError("there is no question: name one in quotation marks, or give one a line on the input")
    return Questions(asked, several=len(asked) > 1, headed=len(asked) > 1)


def _as_typed() -> Iterator[str]:
    while True:
        if is_terminal():
            print("> ", end="", file=sys.stderr, flush=True)  # noqa: T201 (input() would write it among the answers)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()

"""What stands in a journal when it is opened: whole lines, damaged ones, an end that was torn off. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from recipes.console import say
from recipes.errors import RunError
from synth.entries import Head, begins_like_a_line, checked, decode_head

_LONGEST_LINE = 1 << 26
_MOST_NAMED = 10


class Scan:
    """One reading of a journal from its beginning.

    end: bytes up to the end of the last line that was read. damaged: lines that are skipped.
    unended: whether the last line is whole but for its line end. torn: number of a last line that breaks off, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = self.damaged = 0
        self.unended = False
        self.torn: int | None = None
        self._named: list[int] = []

    def heads(self) -> Iterator[tuple[Head, int, int]]:
        """Yield (head, offset, length) of each whole line. Raises RunError where the file is no journal."""
        number, alien = 0, True
        with self.path.open("rb", buffering=1 << 20) as lines:
            for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE), b""), 1):
                alien = alien and not begins_like_a_line(line)
                if not line.endswith(b"\n") and len(line) < _LONGEST_LINE and not alien:
                    line += b"\n"
                    self.unended = checked(line) is not None
                    if not self.unended:
                        self.torn = number
                        break
                start, self.end = self.end, self.end + len(line)
                head = _head(line)
                if head is not None:
                    yield head, start, len(line)
                else:
                    self.damaged += 1
                    self._named = [*self._named, number][:_MOST_NAMED]
        if number and alien:
            raise RunError(f"{self.path}: is no reply journal: not one of its lines begins like an entry")

    def say_what_was_wrong(self, mended: bool) -> None:
        """Name the lines that are lost. mended: whether a torn end is cut off."""
        if self.torn is not None:
            gone = "was cut off" if mended else "is not read"
            crash = "was not written to its end (a crash, a full disk)"
            say(f"{self.path}:{self.torn}: the last line {crash} and {gone}")
        if self.damaged:
            lines = ", ".join(map(str, self._named)) + (" ..." if self.damaged > len(self._named) else "")
            count = f"{self.damaged} damaged line" + "s" * (self.damaged > 1)
            say(f"{self.path}: {count} skipped, the requests will be asked again: line {lines}")


def _head(line: bytes) -> Head | None:
    """The head of a line; None where it is damaged, or of another making."""
    body = checked(line)
    try:
        return decode_head(body) if body is not None else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None

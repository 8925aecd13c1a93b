"""Server-sent events, as an OpenAI-compatible server streams an answer: bytes in, the data of each line out."""

from __future__ import annotations

from synth.faults import Fault

MOST_LINE_BYTES = 1 << 20
"""A longer line is no part of an answer."""
MOST_BYTES = 32_000_000
"""A longer stream is no answer."""


class Events:
    """Give it blocks of a stream as they come; what is not data (comments that keep it alive, names) is left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0

    def add(self, block: bytes) -> list[bytes]:
        """The data of the lines that are whole now. Raises Fault for a line or a stream without end."""
        self._size += len(block)
        *lines, self._rest = (self._rest + block).split(b"\n")
        if self._size > MOST_BYTES or max(map(len, [self._rest, *lines])) > MOST_LINE_BYTES:
            raise Fault("bad_body", "the answer has no end")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

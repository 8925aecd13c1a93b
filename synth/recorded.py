"""The recorded teacher: plays a reply journal with the network forbidden."""

from __future__ import annotations

from recipes.chat import ChatRequest, Reply
from synth.faults import Fault
from synth.journal import Journal


class Recorded:
    """A chat model over a journal; what is not on record is a Fault of kind `not_recorded`."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def complete(self, request: ChatRequest) -> Reply:
        """The reply on record. Raises Fault where there is none."""
        found = self.journal.get(request.key())
        if isinstance(found, Reply):
            return found
        raise Fault("not_recorded", f"{self.journal.path} has no reply to this request")

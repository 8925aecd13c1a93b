"""What GET /health says of an assistant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag.index_watch import ADVICE
from rag.slots import Slots

if TYPE_CHECKING:
    from rag.assistant import Assistant

_DEAD = "the model has failed, so nothing is answered: the log says why; start it again"


def health_of(assistant: Assistant, slots: Slots) -> tuple[dict[str, Any], int]:
    """The content and its status: 503 where nothing can be answered. message: what is to be done, where anything is."""
    alive, index = assistant.alive, assistant.index
    well = alive and index != "gone"
    told = {
        "status": "ok" if well else "failed",
        "index": index,
        "answering": slots.answering,
        "waiting": slots.waiting,
    }
    message = ADVICE.get(index) if alive else _DEAD
    return told | ({"message": message} if message else {}), 200 if well else 503

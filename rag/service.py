"""What the routes of one server share."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rag.connections import Patience
from rag.feedback import Feedback
from rag.gate import Gate
from rag.metrics import Metrics
from rag.openai_errors import ApiError, fault
from rag.slots import Slots
from recipes.assistant import Assistant as Settings
from recipes.console import say
from recipes.keys import redact

if TYPE_CHECKING:
    from rag.assistant import Assistant


SERVER_FAULT = fault(500, "this server failed to answer; its log says why", "server_error")


@dataclass(frozen=True)
class Service:
    """One assistant behind HTTP. model: its name in the API; created: seconds since 1970; log: takes what only the
    operator is to see. examples: questions that the page proposes.
    """

    assistant: Assistant
    settings: Settings
    model: str
    created: int
    gate: Gate
    feedback: Feedback
    patience: Patience = field(default_factory=Patience)
    log: Callable[[str], None] = say
    examples: tuple[str, ...] = ()
    slots: Slots = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        slots = Slots(self.settings.concurrency, self.settings.queue)
        object.__setattr__(self, "slots", slots)
        object.__setattr__(self, "metrics", Metrics(lambda: slots.answering, lambda: slots.waiting))


def log_fault(error: BaseException, log: Callable[[str], None]) -> ApiError:
    """Tell the operator of a fault of ours; what the client is told of it."""
    log(redact("".join(traceback.format_exception(error))).rstrip())
    return SERVER_FAULT

"""What comes of each call: into the journal, to be made again later, or the end of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic

from recipes.chat import Reply, Usage
from recipes.console import say
from recipes.errors import TeacherError
from recipes.keys import redact
from recipes.schema import Teacher
from synth.account import Account
from synth.agenda import Agenda, Call, Item
from synth.breaker import Breaker
from synth.budget import add
from synth.entries import Failure
from synth.faults import Fault, stop_sentence
from synth.journal import Journal
from synth.retries import wait_before_retry


class Outcomes(Generic[Item]):
    """Takes in how calls ended. Every reply is in the journal before anything else is made of it.

    held: calls refused as wrong while nothing was ever answered. written: set whenever the journal has a new line.
    """

    def __init__(
        self, agenda: Agenda[Item], ident: Callable[[Item], str], journal: Journal, teacher: Teacher, account: Account
    ) -> None:
        self.agenda = agenda
        self.ident = ident
        self.journal = journal
        self.teacher = teacher
        self.account = account
        self.breaker = Breaker(teacher.concurrency, far=teacher.is_paid())
        self.held: list[tuple[Call[Item], Failure]] = []
        self.written = asyncio.Event()

    def answered(self, call: Call[Item], reply: Reply) -> None:
        """A call brought a reply."""
        self.breaker.answered()
        beside = self.account.answered(call.most, reply.usage)
        self._put(call, reply, add(call.uncertain, beside))
        if self.held:
            self.let_go_of_held()

    def failed(self, call: Call[Item], fault: Fault, now: float) -> None:
        """A call brought none: send it again later, or record the failure. Raises TeacherError to give up."""
        call.uncertain = add(call.uncertain, self.account.failed(call.most, fault))
        if fault.kind == "rate_limited" and self.breaker.failing + 1 == self.breaker.most:
            say("the teacher answers 429 (too many requests) to everything: waiting for its quota, nothing is lost")
        if self.breaker.failed(fault, now):
            teacher = self.teacher
            raise TeacherError(redact(stop_sentence(fault, teacher.address(), teacher.model, teacher.key_variable())))
        call.refused += fault.kind == "rate_limited"
        call.broken += fault.kind != "rate_limited"
        wait = wait_before_retry(fault, call.refused, call.broken, self.teacher.retries)
        if wait is not None:
            self.agenda.retry(call, now + wait)
            return
        failure = Failure(fault.kind, redact(str(fault)))
        if fault.kind == "rejected" and not self.breaker.answered_ever:
            self.held.append((call, failure))  # final for a row, unless all are refused alike: then it is the recipe
        else:
            self._put(call, failure, call.uncertain)

    def let_go_of_held(self) -> None:
        """The requests that were refused as wrong are: others were answered, or there are none."""
        held, self.held = self.held, []
        for call, failure in held:
            self._put(call, failure, call.uncertain)

    def _put(self, call: Call[Item], found: Reply | Failure, uncertain: Usage) -> None:
        """Journal what came of a call, then go on with the items that wanted it."""
        request = call.request
        example = self.ident(call.works[0].item)
        self.journal.put(
            call.key, example, found, sample=request.sample, model=request.model, uncertain=uncertain
        )  # fmt: skip
        self.account.written(call.uncertain)
        self.written.set()
        self.agenda.settle(call, found)

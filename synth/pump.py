"""The pump: asks the teacher everything that is not in the journal, as fast as the teacher lets it.

One loop and a bounded set of calls in flight; no task per row. A call that must be made again waits by its due time
and holds no place. Two items with the same request share one call. Which call may be sent is `gate.py`'s to say, what
comes of it `outcomes.py`'s: its reply is in the journal before the next is sent, so a kill costs the calls in flight.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import Generic

from recipes.chat import ChatModel, ChatRequest, Reply
from recipes.console import say
from recipes.errors import TeacherError, TutelageError
from recipes.schema import Teacher
from synth.account import Account
from synth.agenda import Agenda, Call, Item, Lookup
from synth.budget import Budget
from synth.faults import Fault
from synth.gate import Gate
from synth.interrupts import on_interrupt
from synth.journal import Journal
from synth.limits import LimitedModel, Limiter
from synth.outcomes import Outcomes

SYNC_SECONDS = 0.02
"""Replies are synced to disk in groups of this long."""
GRACE_SECONDS = 5.0
"""How long calls in flight may still come back after Ctrl-C or when the run cannot go on: they are paid for."""


class Enough(TeacherError):
    """Raised by `done` to end the asking: no more is sent, and all that is on its way is waited for."""


async def ask_all(
    items: Iterable[Item],
    missing: Callable[[Item, Lookup], list[ChatRequest]],
    ident: Callable[[Item], str],
    model: ChatModel,
    journal: Journal,
    teacher: Teacher,
    budget: Budget | None,
    done: Callable[[Item], None],
    most_open: Callable[[], float] = lambda: math.inf,
    most_again: Callable[[], float] = lambda: math.inf,
) -> None:
    """Send whatever `missing` says is missing, until every item is `done`.

    missing: the requests of an item that the journal does not answer yet; asked again when all of them are settled.
    ident: an item's id. done: called once per item that needs no more calls, in the order in which they are settled.
    most_open: requests without an answer from which on no more items are begun. most_again: questions that may be asked
    again at a time.

    Raises TeacherError where the teacher cannot go on, BudgetError where the budget cannot, RunError where the disk
    cannot, Enough where `done` did, KeyboardInterrupt after Ctrl-C or SIGTERM. What was answered until then is in
    the journal.
    """
    agenda = Agenda(items, missing, journal, done, 4 * teacher.concurrency, most_again)
    outcomes = Outcomes(agenda, ident, journal, teacher, Account(budget, journal))
    await Pump(outcomes, model, most_open).run()


class Pump(Generic[Item]):
    """One run of `ask_all`."""

    def __init__(self, outcomes: Outcomes[Item], model: ChatModel, most_open: Callable[[], float]) -> None:
        teacher = outcomes.teacher
        self.outcomes = outcomes
        self.agenda = outcomes.agenda
        self.journal = outcomes.journal
        self.model = model
        self.limiter = Limiter(teacher.concurrency, time.monotonic(), teacher.rpm, teacher.tpm)
        self.limited = model if isinstance(model, LimitedModel) else None
        self.gate = Gate(outcomes, self.limiter, most_open)
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.error: BaseException | None = None

    async def run(self) -> None:
        """Pump until everything is settled or something ends the run."""
        syncing = asyncio.create_task(self._keep_synced())
        try:
            with on_interrupt(self._interrupted):
                await self._send_all()
                if self.error is not None and self.tasks:
                    patience = None if isinstance(self.error, Enough) else GRACE_SECONDS
                    await asyncio.wait(self.tasks, timeout=patience)
        finally:
            await _cancel(*self.tasks, syncing)
            self.outcomes.account.close()
            self.journal.sync()
        if isinstance(self.error, KeyboardInterrupt):
            say(f"stopped with {self.agenda.settled:,} rows settled; run the same command to go on from here")
        if self.error is not None:
            raise self.error

    async def _send_all(self) -> None:
        """The loop: begin what may be sent, then sleep until something changes or a time has come."""
        loop = asyncio.get_running_loop()
        while self.error is None and not self.agenda.over:
            self.changed.clear()
            while (call := self._take()) is not None:
                task = loop.create_task(self._work(call))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            wait = self.gate.wait
            if wait == 0.0:
                await asyncio.sleep(0)
                continue
            timer = None if wait is None else loop.call_later(wait, self.changed.set)
            await self.changed.wait()
            if timer is not None:
                timer.cancel()

    def _take(self) -> Call[Item] | None:
        """The call to send now, or None."""
        try:
            return self.gate.take() if self.error is None else None
        except TutelageError as error:
            self._stop(error)
            return None

    async def _work(self, first: Call[Item]) -> None:
        """Make calls one after the other while there are any; each is in the journal before the next is sent."""
        call: Call[Item] | None = first
        try:
            while call is not None:
                await self._make(call)
                if self.limiter.in_flight + 1 < int(self.limiter.limit):
                    self.changed.set()  # room for more than this worker
                call = self._take()
        except Exception as error:
            self._stop(error)
        finally:
            self.changed.set()

    async def _make(self, call: Call[Item]) -> None:
        """One call, from sending to the journal."""
        started = time.monotonic()
        outcome: Reply | Fault
        try:
            outcome = await self.model.complete(call.request)
        except Fault as fault:
            outcome = fault
        now = time.monotonic()
        if isinstance(outcome, Reply):
            self.limiter.answered(call.epoch, now - started, call.tokens, outcome.usage, now)
        else:
            self.limiter.failed(call.epoch, call.tokens, outcome.kind == "rate_limited", now)
        if self.limited is not None and self.limited.allowance is not None:
            self.limiter.rates.learn(self.limited.allowance, now)
            self.limited.allowance = None
        if isinstance(outcome, Reply):
            self.outcomes.answered(call, outcome)
        else:
            self.outcomes.failed(call, outcome, now)

    def _stop(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            if isinstance(error, Enough) and self.limiter.in_flight:
                say("stopping: calls on their way are waited for, so that their replies are kept; Ctrl-C drops them")
        self.changed.set()

    def _interrupted(self, end: KeyboardInterrupt) -> None:
        """Ctrl-C or SIGTERM: nothing more is sent; where that is so already, what is in flight is dropped."""
        if self.error is not None:
            for task in self.tasks:
                task.cancel()
        elif self.tasks:
            say(f"stopping: {len(self.tasks)} calls on their way may still come back; Ctrl-C again drops them")
        self._stop(end)

    async def _keep_synced(self) -> None:
        """Sync what was written, in groups, off the loop."""
        loop, written = asyncio.get_running_loop(), self.outcomes.written
        while True:
            await written.wait()
            written.clear()
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await loop.run_in_executor(None, self.journal.sync)
            except TutelageError as error:
                self._stop(error)
                return
            if self.gate.disk_lags:
                self.changed.set()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""The pump: asks the teacher everything that is not in the journal, as fast as the teacher lets it.

One loop and a bounded set of calls in flight; no task per row. A call that must be made again waits by its due time
and holds no place. Two items with the same request share one call. Every reply is in the journal before anything
else is made of it, so that a kill costs at most the calls in flight.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Generic

from recipes.chat import ChatModel, ChatRequest, Reply, Usage
from recipes.console import say
from recipes.errors import BudgetError, TeacherError, TutelageError
from recipes.keys import redact
from recipes.schema import Teacher
from synth.account import Account
from synth.agenda import Agenda, Call, Item, Lookup
from synth.breaker import Breaker
from synth.budget import Budget, add
from synth.entries import Failure
from synth.faults import Fault, stop_sentence
from synth.interrupts import on_interrupt
from synth.journal import Journal
from synth.limits import LimitedModel, Limiter

SYNC_SECONDS = 0.02
"""Replies are synced to disk in groups of this long."""
GRACE_SECONDS = 5.0
"""How long calls in flight may still come back after Ctrl-C or when the run cannot go on: they are paid for."""
LONGEST_WAIT = 120.0
"""Seconds that a provider's Retry-After can make a call wait."""
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
REFUSALS_PER_RETRY = 3
"""A 429 says little about its request: it may be sent again this many times as often as after another fault."""


async def ask_all(
    items: Iterable[Item],
    missing: Callable[[Item, Lookup], list[ChatRequest]],
    ident: Callable[[Item], str],
    model: ChatModel,
    journal: Journal,
    teacher: Teacher,
    budget: Budget | None,
    done: Callable[[Item], None],
) -> None:
    """Send whatever `missing` says is missing, until every item is `done`.

    missing: the requests of an item that the journal does not answer yet; asked again when all of them are settled.
    ident: an item's id. done: called once per item that needs no more calls, in the order in which they are settled.

    Raises TeacherError where the teacher cannot go on, BudgetError where the budget cannot, RunError where the disk
    cannot, KeyboardInterrupt after Ctrl-C. Whatever was answered until then is in the journal.
    """
    agenda = Agenda(items, missing, journal, done, room=4 * teacher.concurrency)
    await Pump(agenda, ident, model, journal, teacher, budget).run()


class Pump(Generic[Item]):
    """One run of `ask_all`."""

    def __init__(
        self,
        agenda: Agenda[Item],
        ident: Callable[[Item], str],
        model: ChatModel,
        journal: Journal,
        teacher: Teacher,
        budget: Budget | None,
    ) -> None:
        self.agenda = agenda
        self.ident = ident
        self.model = model
        self.journal = journal
        self.teacher = teacher
        self.account = Account(budget, journal)
        self.limiter = Limiter(teacher.concurrency, time.monotonic(), teacher.rpm, teacher.tpm)
        self.breaker = Breaker(teacher.concurrency)
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.written = asyncio.Event()
        self.wait: float | None = None
        self.disk_lags = False
        self.error: BaseException | None = None
        self.limited = model if isinstance(model, LimitedModel) else None
        self.held: list[tuple[Call[Item], Failure]] = []

    async def run(self) -> None:
        """Pump until everything is settled or something ends the run."""
        syncing = asyncio.create_task(self._keep_synced())
        try:
            with on_interrupt(self._interrupted):
                await self._send_all()
                if self.error is not None and self.tasks:
                    await asyncio.wait(self.tasks, timeout=GRACE_SECONDS)
        finally:
            await _cancel(*self.tasks, syncing)
            self.account.close()
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
            if self.wait == 0.0:
                await asyncio.sleep(0)
                continue
            timer = None if self.wait is None else loop.call_later(self.wait, self.changed.set)
            await self.changed.wait()
            if timer is not None:
                timer.cancel()

    def _take(self) -> Call[Item] | None:
        """A call that may be sent now and counts as sent; else None, and `wait` says for how long (None: unknown)."""
        if self.error is not None:
            return None
        now = time.monotonic()
        idle = not self.limiter.in_flight
        call = self.agenda.next(now, self.breaker.lets_new_rows(idle, now))
        if call is None:
            self.wait = self._until_next(now, idle)
            return None
        call.tokens = self.limiter.rates.estimate(call.request)
        self.wait = self.limiter.wait(call.tokens, now)
        if self.wait == 0.0:
            # what is not synced could be lost with the power: the disk must not lag far behind the teacher
            self.disk_lags = self.journal.unsynced > 2 * self.teacher.concurrency
            if not self.disk_lags and self._reserve(call, idle):
                call.epoch = self.limiter.sent(call.tokens)
                return call
            self.wait = None
        self.agenda.put_back(call)
        return None

    def _until_next(self, now: float, idle: bool) -> float | None:
        """What to wait for when there is no call to make now."""
        if self.agenda.paused or self.agenda.over:
            return 0.0
        due = self.agenda.wait(now)
        if idle and due is None and self.held:
            self._let_go_of_held()
            return 0.0
        probe = None if self.agenda.exhausted else self.breaker.until_probe(now)
        return min((wait for wait in (due, probe) if wait is not None), default=None)

    def _reserve(self, call: Call[Item], idle: bool) -> bool:
        """Set the call's highest price aside; False where it must wait for others to be settled, or never fits."""
        most = self.account.bound(call.request)
        if self.account.fits(most):
            call.most = most
            self.account.reserve(most)
            return True
        if idle:
            self._stop(BudgetError(self.account.exhausted(most, self.agenda.unasked())))
        return False

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
            self._answered(call, outcome)
        else:
            self.limiter.failed(call.epoch, call.tokens, outcome.kind == "rate_limited", now)
            self._failed(call, outcome, now)
        if self.limited is not None and self.limited.allowance is not None:
            self.limiter.rates.learn(self.limited.allowance, now)
            self.limited.allowance = None

    def _answered(self, call: Call[Item], reply: Reply) -> None:
        self.breaker.answered()
        beside = self.account.answered(call.most, reply.usage)
        self._put(call, reply, add(call.uncertain, beside))
        if self.held:
            self._let_go_of_held()

    def _failed(self, call: Call[Item], fault: Fault, now: float) -> None:
        """Send again later, or record the failure, or give up."""
        call.uncertain = add(call.uncertain, self.account.failed(call.most, fault))
        if fault.kind == "rate_limited" and self.breaker.failing + 1 == self.breaker.most:
            say("the teacher answers 429 (too many requests) to everything: waiting for its quota, nothing is lost")
        if self.breaker.failed(fault, now):
            self._stop(TeacherError(redact(self._why_stopped(fault))))
            return
        retries = self.teacher.retries
        if fault.kind == "rate_limited":
            call.refused += 1
            again = call.refused <= REFUSALS_PER_RETRY * retries
        else:
            call.broken += 1
            again = fault.again and call.broken <= retries
        if again:
            self.agenda.retry(call, now + _delay(call, fault))
            return
        failure = Failure(fault.kind, redact(str(fault)))
        if fault.kind == "rejected" and not self.breaker.answered_ever:
            self.held.append((call, failure))  # final for a row, unless all are refused alike: then it is the recipe
        else:
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

    def _let_go_of_held(self) -> None:
        held, self.held = self.held, []
        for call, failure in held:
            self._put(call, failure, call.uncertain)

    def _why_stopped(self, fault: Fault) -> str:
        teacher = self.teacher
        return stop_sentence(fault, teacher.address(), teacher.model, teacher.key_variable())

    def _stop(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        self.changed.set()

    def _interrupted(self) -> None:
        """Ctrl-C: nothing more is sent; a second one drops what is in flight."""
        if isinstance(self.error, KeyboardInterrupt):
            for task in self.tasks:
                task.cancel()
        elif self.tasks:
            say(f"stopping: {len(self.tasks)} calls on their way may still come back; Ctrl-C again drops them")
        self._stop(KeyboardInterrupt())

    async def _keep_synced(self) -> None:
        """Sync what was written, in groups, off the loop."""
        loop = asyncio.get_running_loop()
        while True:
            await self.written.wait()
            self.written.clear()
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await loop.run_in_executor(None, self.journal.sync)
            except TutelageError as error:
                self._stop(error)
                return
            if self.disk_lags:
                self.changed.set()


def _delay(call: Call[Item], fault: Fault) -> float:
    """Seconds until the call is made again: what the provider asked for, else doubling with jitter."""
    if fault.retry_after is not None:
        return min(fault.retry_after, LONGEST_WAIT) * random.uniform(1.0, 1.05)
    backoff: float = FIRST_BACKOFF * 2 ** (call.refused + call.broken - 1)
    return min(backoff, LONGEST_BACKOFF) * random.uniform(0.5, 1.0)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

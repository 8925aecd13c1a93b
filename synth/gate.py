"""The gate: which call may be sent now, and what to wait for where none may."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic

from recipes.errors import BudgetError
from synth.agenda import Call, Item
from synth.limits import Limiter
from synth.outcomes import Outcomes


class Gate(Generic[Item]):
    """Asks everybody who may hold a call back: agenda, breaker, limiter, disk and budget.

    most_open: requests without an answer from which on no more items are begun. wait: after `take` gave none, the
    seconds until it may (None: not before something changes). disk_lags: whether replies must be synced first.
    """

    def __init__(self, outcomes: Outcomes[Item], limiter: Limiter, most_open: Callable[[], float]) -> None:
        self.outcomes = outcomes
        self.agenda = outcomes.agenda
        self.breaker = outcomes.breaker
        self.account = outcomes.account
        self.limiter = limiter
        self.most_open = most_open
        self.wait: float | None = None
        self.disk_lags = False

    def take(self) -> Call[Item] | None:
        """A call that may be sent now and counts as sent, or None. Raises BudgetError where no call fits any more."""
        now = time.monotonic()
        idle = not self.limiter.in_flight
        begin = self.breaker.lets_new_rows(idle, now) and self.agenda.open < self.most_open()
        call = self.agenda.next(now, begin)
        if call is None:
            self.wait = self._until_next(now, idle)
            return None
        call.tokens = self.limiter.rates.estimate(call.request)
        self.wait = self.limiter.wait(call.tokens, now)
        if self.wait == 0.0:
            # what is not synced could be lost with the power: the disk must not lag far behind the teacher
            self.disk_lags = self.outcomes.journal.unsynced > 2 * self.outcomes.teacher.concurrency
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
        if idle and due is None and self.outcomes.held:
            self.outcomes.let_go_of_held()
            return 0.0
        probe = None if self.agenda.exhausted else self.breaker.until_probe(now)
        return min((wait for wait in (due, probe) if wait is not None), default=None)

    def _reserve(self, call: Call[Item], idle: bool) -> bool:
        """Set the call's highest price aside; False where it must wait for others to be settled."""
        most = self.account.bound(call.request)
        if not self.account.fits(most):
            if idle:
                raise BudgetError(self.account.exhausted(most, self.agenda.unasked()))
            return False
        call.most = most
        self.account.reserve(most)
        return True

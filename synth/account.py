"""A budget and the journal that remembers it: what calls reserve, what they cost, and what nobody can know.

A call that breaks off after it was sent may be billed all the same: it is charged at its reservation. So that a kill
does not hide such calls, the journal holds a lease, at least as large as all that is out without a line of its own.
"""

from __future__ import annotations

from recipes.chat import ChatRequest, Usage
from synth.budget import Budget, add, subtract
from synth.entries import NO_TOKENS
from synth.faults import Fault
from synth.journal import Journal

_LEASE_STEP = 1.25


class Account:
    """The spending of one run. Without a budget nothing is reserved or leased."""

    def __init__(self, budget: Budget | None, journal: Journal) -> None:
        self.budget = budget
        self.journal = journal
        self._unwritten = NO_TOKENS

    def bound(self, request: ChatRequest) -> Usage:
        """The most tokens that a request can be billed for."""
        return self.budget.bound(request) if self.budget else NO_TOKENS

    def fits(self, most: Usage) -> bool:
        """Whether a call bounded by `most` can be sent now."""
        return self.budget is None or self.budget.fits(most)

    def reserve(self, most: Usage) -> None:
        """A call is about to be sent."""
        if self.budget is None:
            return
        self.budget.reserve(most)
        out, lease = add(self.budget.reserved, self._unwritten), self.journal.lease
        if out.prompt > lease.prompt or out.completion > lease.completion:
            prompt, completion = int(out.prompt * _LEASE_STEP), int(out.completion * _LEASE_STEP)
            larger = Usage(prompt, prompt if most.cached else 0, completion)
            within = self.budget.price.cost(add(self.budget.spent, larger)) <= self.budget.usd
            self.journal.hold(larger if within else out)
            self.journal.sync()

    def answered(self, most: Usage, usage: Usage) -> Usage:
        """A reply came; returns what to write beside its usage: the reservation where the provider counted nothing."""
        if self.budget is None:
            return NO_TOKENS
        counted = _counted(usage)
        self.budget.settle(most, usage if counted else most)
        return NO_TOKENS if counted else most

    def failed(self, most: Usage, fault: Fault) -> Usage:
        """A call brought no reply; returns the tokens to write down with its request when that is settled."""
        if self.budget is None:
            return NO_TOKENS
        charged = NO_TOKENS
        if fault.may_be_billed:
            charged = fault.usage if fault.usage is not None and _counted(fault.usage) else most
        self.budget.settle(most, charged)
        self._unwritten = add(self._unwritten, charged)
        return charged

    def written(self, uncertain: Usage) -> None:
        """What `failed` returned stands in the journal now."""
        self._unwritten = subtract(self._unwritten, uncertain)

    def exhausted(self, most: Usage, unasked: int) -> str:
        """Why the run ends here, and how to go on."""
        assert self.budget is not None
        budget = self.budget
        spent, next_one = budget.spent_usd(), budget.price.cost(most)
        return (
            f"budget_usd {budget.usd:g} is reached: {spent:.4f} USD are spent, or may be (calls that broke off or were "
            f"on their way at a kill count at their most), and the next call could cost "
            f"{next_one:.4f}; {unasked:,} rows are not asked. Raise synthesis.budget_usd to go on from here"
        )

    def close(self) -> None:
        """All calls are over, answered or cancelled: those without a line count as paid, and the lease ends."""
        if self.budget is None or self.journal.lease == NO_TOKENS:
            return
        lost = self.budget.reserved
        self.budget.settle(lost, lost)
        self.journal.hold(NO_TOKENS, add(lost, self._unwritten))
        self._unwritten = NO_TOKENS


def _counted(usage: Usage) -> bool:
    """Whether the provider counted at all: a chat completion has no prompt and no reply without a token."""
    return usage.prompt > 0 or usage.completion > 0

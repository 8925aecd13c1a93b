"""How many calls may be out at once. Pure: every function is told the time (seconds, monotonic).

Concurrency adapts to the share of 429s in a window of outcomes: cut to the share that got through above a tenth, else
a twentieth more (twice that after each window without any), up to what the recipe allows. A refused call keeps its
place for as long as an answered one would have, so that a provider that refuses in a millisecond is not hammered; and
after a cut calls are spread over time, because a burst fills a provider's bucket while half of its rate goes unused.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol, runtime_checkable

from recipes.chat import ChatRequest, Reply, Usage
from synth.rates import Allowance, Bucket, Rates

TOLERATED = 0.1
"""Share of 429s above which concurrency is cut."""
GROWTH = 0.05
_FASTEST_GROWTH = 0.2
_FIRST_LIMIT = 256
"""Calls at once before anything is known about the provider."""
_FIRST_LATENCY = 1.0
_SMALLEST_WINDOW = 8
_DEEPEST_CUT = 0.25
_PACE = 1.3
"""How much faster than evenly spread calls may follow each other."""
_BURST = 0.1
"""Share of the limit that may be sent at one moment all the same."""


@runtime_checkable
class LimitedModel(Protocol):
    """A chat model that passes on what its provider says about limits; `allowance` is the last word, until taken."""

    allowance: Allowance | None

    async def complete(self, request: ChatRequest) -> Reply: ...


class Limiter:
    """Decides when the next call may be sent.

    most: the recipe's concurrency. limit: the concurrency of now. refused: 429s seen. latency: seconds an answer takes.
    """

    def __init__(self, most: int, now: float, rpm: int | None = None, tpm: int | None = None) -> None:
        self.most = most
        self.limit = float(min(most, _FIRST_LIMIT))
        self.in_flight = 0
        self.refused = 0
        self.latency: float | None = None
        self.rates = Rates(now, rpm, tpm)
        self._growth = 1.0  # doubling, until the first 429
        self._pace: Bucket | None = None
        self._held: deque[float] = deque()
        self._epoch = self._good = self._bad = 0

    def wait(self, tokens: float, now: float) -> float | None:
        """Seconds until a call of about `tokens` may be sent; None: not before another one ends."""
        limit = int(self.limit)
        if self.in_flight >= limit:
            return None
        wait = self.rates.wait(tokens, now)
        if self._pace is not None:
            wait = max(wait, self._pace.wait(1.0, now))
        if self._held:
            wait = max(wait, self._wait_for_place(limit, now))
        return wait

    def sent(self, tokens: float) -> int:
        """A call is on its way; returns what `answered` and `failed` want to know."""
        self.in_flight += 1
        self.rates.take(tokens)
        if self._pace is not None:
            self._pace.take(1.0)
        return self._epoch

    def answered(self, epoch: int, seconds: float, tokens: float, usage: Usage, now: float) -> None:
        """A call brought a reply after `seconds`; `epoch` and `tokens` as when it was sent."""
        self.latency = seconds if self.latency is None else 0.9 * self.latency + 0.1 * seconds
        self.rates.settle(tokens, usage)
        self._ended(epoch, False, now)

    def failed(self, epoch: int, tokens: float, refused: bool, now: float) -> None:
        """A call brought no reply; `refused`: it was a 429."""
        self.rates.settle(tokens, None)
        if refused:
            self.refused += 1
            self._held.append(now)
        self._ended(epoch, refused, now)

    def _wait_for_place(self, limit: int, now: float) -> float:
        """Seconds until the oldest refused call gives its place up, if it is needed."""
        hold = self.latency if self.latency is not None else _FIRST_LATENCY
        while self._held and self._held[0] + hold <= now:
            self._held.popleft()
        return self._held[0] + hold - now if self.in_flight + len(self._held) >= limit else 0.0

    def _ended(self, epoch: int, refused: bool, now: float) -> None:
        self.in_flight -= 1
        if epoch == self._epoch:  # calls sent before a cut tell nothing about the limit of now
            self._bad += refused
            self._good += not refused
            if self._good + self._bad >= max(_SMALLEST_WINDOW, int(self.limit)):
                self._adapt(now)

    def _adapt(self, now: float) -> None:
        """A window is full."""
        share = self._bad / (self._good + self._bad)
        if share > TOLERATED:
            self.limit = max(1.0, self.limit * max(_DEEPEST_CUT, 0.98 * (1 - share)))
            self._epoch += 1
        else:
            self.limit = min(float(self.most), max(self.limit * (1 + self._growth), self.limit + 1))
        if share > TOLERATED or self._pace is not None:
            self._set_pace(now)
        self._growth = GROWTH if self._bad else max(self._growth, min(2 * self._growth, _FASTEST_GROWTH))
        self._good = self._bad = 0

    def _set_pace(self, now: float) -> None:
        if self.limit >= self.most:
            self._pace = None
            return
        self._pace = Bucket(_PACE * self.limit / (self.latency or _FIRST_LATENCY), _BURST * self.limit, now)

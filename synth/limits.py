"""How much may be sent at once and how fast. Pure: every function is told the time (seconds, monotonic).

Concurrency adapts to the share of 429s in a window of outcomes: cut to the share that got through above a tenth, else
a twentieth more, up to what the recipe allows. A refused call keeps its place for as long as an answered one would
have, so that a provider that refuses in a millisecond is not hammered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from recipes.chat import ChatRequest, Reply, Usage

TOLERATED = 0.1
"""Share of 429s above which concurrency is cut."""
GROWTH = 1.05
_SMALLEST_WINDOW = 8
_DEEPEST_CUT = 0.25
_BURST = 10.0
"""Seconds' worth of a rate that may be sent at once."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider's headers say: limits per minute, what is left, seconds until it is whole again."""

    requests: int | None = None
    requests_left: int | None = None
    requests_reset: float | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    tokens_reset: float | None = None


@runtime_checkable
class LimitedModel(Protocol):
    """A chat model that passes on what its provider says about limits; `allowance` is the last word,
    and None when it was taken."""

    allowance: Allowance | None

    async def complete(self, request: ChatRequest) -> Reply: ...


class Bucket:
    """A rate per minute as a bucket of tokens that fills steadily."""

    def __init__(self, per_minute: float, now: float) -> None:
        self.rate = per_minute / 60
        self.most = max(1.0, self.rate * _BURST)
        self.level = self.most
        self.at = now
        self.blocked_until = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken."""
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        short = min(amount, self.most) - self.level
        return max(short / self.rate if short > 0 else 0.0, self.blocked_until - now)

    def take(self, amount: float) -> None:
        """Take `amount`, which may leave a debt."""
        self.level -= amount

    def learn(self, left: int | None, reset: float | None, now: float) -> None:
        """Take over what the provider says is left; at nothing, wait for the reset (a minute at most)."""
        if left is None:
            return
        self.level = min(self.level, float(left))
        if left <= 0 and reset:
            self.blocked_until = now + min(reset, 60.0)


class Limiter:
    """Decides when the next call may be sent.

    most: the recipe's concurrency. limit: the concurrency of now. refused: 429s seen.
    """

    def __init__(self, most: int, now: float, rpm: int | None = None, tpm: int | None = None) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self.refused = 0
        self.latency: float | None = None
        self._mean_reply: float | None = None
        self._requests = Bucket(rpm, now) if rpm else None
        self._tokens = Bucket(tpm, now) if tpm else None
        self._given = rpm is not None, tpm is not None
        self._held: deque[float] = deque()
        self._epoch = self._good = self._bad = 0

    def wait(self, tokens: float, now: float) -> float | None:
        """Seconds until a call of about `tokens` may be sent; None: not before another one ends."""
        hold = self.latency if self.latency is not None else 1.0
        while self._held and self._held[0] + hold <= now:
            self._held.popleft()
        if self.in_flight >= int(self.limit):
            return None
        waits = [
            bucket.wait(amount, now) for bucket, amount in ((self._requests, 1.0), (self._tokens, tokens)) if bucket
        ]
        if self.in_flight + len(self._held) >= int(self.limit):
            waits.append(self._held[0] + hold - now)
        return max(waits, default=0.0)

    def sent(self, tokens: float) -> int:
        """A call is on its way; returns what `answered` and `failed` want to know."""
        self.in_flight += 1
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(tokens)
        return self._epoch

    def estimate(self, request: ChatRequest) -> float:
        """Tokens that a request will take, roughly; 0 where nothing limits them."""
        if self._tokens is None:
            return 0.0
        reply = self._mean_reply if self._mean_reply is not None else float(request.sampling.max_tokens)
        return sum(len(message.content) for message in request.messages) / 4 + reply

    def answered(self, epoch: int, seconds: float, tokens: float, usage: Usage) -> None:
        """A call brought a reply after `seconds`; `epoch` and `tokens` as when it was sent."""
        self.latency = seconds if self.latency is None else 0.9 * self.latency + 0.1 * seconds
        mean = self._mean_reply
        self._mean_reply = usage.completion if mean is None else 0.95 * mean + 0.05 * usage.completion
        if self._tokens:
            self._tokens.take(usage.prompt + usage.completion - tokens)
        self._ended(epoch, False)

    def failed(self, epoch: int, now: float, tokens: float, refused: bool) -> None:
        """A call brought no reply; `refused`: it was a 429."""
        if self._tokens:
            self._tokens.take(-tokens)
        if refused:
            self.refused += 1
            self._held.append(now)
        self._ended(epoch, refused)

    def learn(self, allowance: Allowance, now: float) -> None:
        """Take over a provider's headers; rates in the recipe come first."""
        if allowance.requests and not self._given[0]:
            if self._requests is None or self._requests.rate != allowance.requests / 60:
                self._requests = Bucket(allowance.requests, now)
            self._requests.learn(allowance.requests_left, allowance.requests_reset, now)
        if allowance.tokens and not self._given[1]:
            if self._tokens is None or self._tokens.rate != allowance.tokens / 60:
                self._tokens = Bucket(allowance.tokens, now)
            self._tokens.learn(allowance.tokens_left, allowance.tokens_reset, now)

    def _ended(self, epoch: int, refused: bool) -> None:
        self.in_flight -= 1
        if epoch == self._epoch:  # calls sent before a cut tell nothing about the limit of now
            self._bad += refused
            self._good += not refused
            if self._good + self._bad >= max(_SMALLEST_WINDOW, int(self.limit)):
                self._adapt()

    def _adapt(self) -> None:
        share = self._bad / (self._good + self._bad)
        if share > TOLERATED:
            self.limit = max(1.0, self.limit * max(_DEEPEST_CUT, 0.98 * (1 - share)))
            self._epoch += 1
        else:
            self.limit = min(float(self.most), max(self.limit * GROWTH, self.limit + 1))
        self._good = self._bad = 0

"""Requests and tokens per minute: given in the recipe, or learnt from a provider's headers. Pure: told the time."""

from __future__ import annotations

from dataclasses import dataclass

from recipes.chat import ChatRequest, Usage

BURST_SECONDS = 10.0
"""How much of a rate may be used at once."""
_DUST = 1e-6
"""What rounding may leave too little: no reason to wait."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider's headers say: limits per minute, what is left, seconds until it is whole again."""

    requests: int | None = None
    requests_left: int | None = None
    requests_reset: float | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    tokens_reset: float | None = None


class Bucket:
    """A rate per second as a bucket that fills steadily; `most` is what may be taken at once."""

    def __init__(self, rate: float, most: float, now: float) -> None:
        self.rate = rate
        self.most = max(1.0, most)
        self.level = self.most
        self.at = now
        self.blocked_until = 0.0

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken."""
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        short = min(amount, self.most) - self.level
        return max(short / self.rate if short > _DUST else 0.0, self.blocked_until - now)

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


class Rates:
    """Both limits at once; what the recipe gives comes before what headers say."""

    def __init__(self, now: float, rpm: int | None, tpm: int | None) -> None:
        self._requests = _per_minute(rpm, now) if rpm else None
        self._tokens = _per_minute(tpm, now) if tpm else None
        self._given = rpm is not None, tpm is not None
        self._mean_reply: float | None = None

    def estimate(self, request: ChatRequest) -> float:
        """Tokens that a request will take, roughly; 0 where nothing limits them."""
        if self._tokens is None:
            return 0.0
        reply = self._mean_reply if self._mean_reply is not None else float(request.sampling.max_tokens)
        return sum(len(message.content) for message in request.messages) / 4 + reply

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a request of about `tokens` is within both."""
        by_requests = self._requests.wait(1.0, now) if self._requests else 0.0
        return max(by_requests, self._tokens.wait(tokens, now)) if self._tokens else by_requests

    def take(self, tokens: float) -> None:
        """A request of about `tokens` is sent."""
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(tokens)

    def settle(self, tokens: float, usage: Usage | None) -> None:
        """A request that was taken for `tokens` took `usage`, or nothing where it failed."""
        if usage is not None:
            mean = self._mean_reply
            self._mean_reply = usage.completion if mean is None else 0.95 * mean + 0.05 * usage.completion
        if self._tokens:
            self._tokens.take((usage.prompt + usage.completion if usage is not None else 0) - tokens)

    def learn(self, allowance: Allowance, now: float) -> None:
        """Take over a provider's headers."""
        if allowance.requests and not self._given[0]:
            if self._requests is None or self._requests.rate != allowance.requests / 60:
                self._requests = _per_minute(allowance.requests, now)
            self._requests.learn(allowance.requests_left, allowance.requests_reset, now)
        if allowance.tokens and not self._given[1]:
            if self._tokens is None or self._tokens.rate != allowance.tokens / 60:
                self._tokens = _per_minute(allowance.tokens, now)
            self._tokens.learn(allowance.tokens_left, allowance.tokens_reset, now)


def _per_minute(limit: int, now: float) -> Bucket:
    return Bucket(limit / 60, limit / 60 * BURST_SECONDS, now)

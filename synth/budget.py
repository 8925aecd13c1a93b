"""What may still be spent. Pure: the most a call can cost is reserved before it is sent, and settled by its usage.

All sums are in tokens and priced at the end, so that they are exact and add up over all runs of one folder.
"""

from __future__ import annotations

import math

from recipes.chat import ChatRequest, Price, Usage
from synth.entries import NO_TOKENS

PER_REQUEST = 64
"""Prompt tokens that a provider's chat template may add (a default system prompt, a date, tool notices)."""
PER_MESSAGE = 8
"""Tokens around one message: role, separators."""


class Budget:
    """USD that a run folder may ever cost.

    spent: tokens billed or possibly billed, in earlier runs too (`journal.usage`). reserved: tokens on their way.
    """

    def __init__(self, price: Price, usd: float, spent: Usage = NO_TOKENS) -> None:
        self.price = price
        self.usd = usd
        self.spent = spent
        self.reserved = NO_TOKENS
        self._cached_is_dearer = (price.cached_input or 0) > price.input
        self._swell = self._swell_reply = 1.0

    def bound(self, request: ChatRequest) -> Usage:
        """The most tokens a request can be billed for: no tokenizer makes more tokens than there are UTF-8 bytes."""
        size = PER_REQUEST + PER_MESSAGE * len(request.messages)
        for message in request.messages:
            text = message.content
            size += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        if request.response_format is not None:
            size += len(str(request.response_format))  # some providers write the schema into the prompt
        size = math.ceil(size * self._swell)
        reply = math.ceil(request.sampling.max_tokens * self._swell_reply)
        return Usage(size, size if self._cached_is_dearer else 0, reply)

    def spent_usd(self) -> float:
        """USD billed or possibly billed so far."""
        return self.price.cost(self.spent)

    def fits(self, most: Usage) -> bool:
        """Whether a call that may cost `most` can be sent now with no chance to overshoot."""
        return self.price.cost(add(add(self.spent, self.reserved), most)) <= self.usd

    def reserve(self, most: Usage) -> None:
        """Set `most` aside for a call that is sent now."""
        self.reserved = add(self.reserved, most)

    def settle(self, most: Usage, real: Usage) -> None:
        """The call that reserved `most` was billed `real`: nothing for a refused call, `most` where nobody knows."""
        self.reserved = subtract(self.reserved, most)
        self.spent = add(self.spent, real)
        if real.prompt > most.prompt > 0:  # the provider adds more than we allowed for: allow for it from now on
            self._swell *= real.prompt / most.prompt
        if real.completion > most.completion > 0:  # reasoning that the provider bills and max_tokens does not bound
            self._swell_reply *= real.completion / most.completion


def add(left: Usage, right: Usage) -> Usage:
    """The sum of two counts."""
    return Usage(left.prompt + right.prompt, left.cached + right.cached, left.completion + right.completion)


def subtract(left: Usage, right: Usage) -> Usage:
    """What is left of a count."""
    return Usage(left.prompt - right.prompt, left.cached - right.cached, left.completion - right.completion)

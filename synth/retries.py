"""Whether a call that went wrong is made again, and when."""

from __future__ import annotations

import random

from synth.faults import Fault

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
LONGEST_WAIT = 120.0
"""Seconds that a provider's Retry-After can make a call wait."""
REFUSALS_PER_RETRY = 3
"""A 429 says little about its request: it may be sent again this many times as often as after another fault."""


def wait_before_retry(fault: Fault, refused: int, broken: int, retries: int) -> float | None:
    """Seconds until a call is made again: what the provider asked for, else doubling with jitter. None: never.

    refused, broken: how often the call has ended in a 429, and in another fault, `fault` included. retries: the
    recipe's.
    """
    if fault.kind == "rate_limited":
        again = refused <= REFUSALS_PER_RETRY * retries
    else:
        again = fault.again and broken <= retries
    if not again:
        return None
    if fault.retry_after is not None:
        return min(fault.retry_after, LONGEST_WAIT) * random.uniform(1.0, 1.05)
    backoff: float = FIRST_BACKOFF * 2 ** (refused + broken - 1)
    return min(backoff, LONGEST_BACKOFF) * random.uniform(0.5, 1.0)

"""When a teacher is given up: a circuit breaker, pure but for the time it is told (seconds, monotonic)."""

from __future__ import annotations

from synth.faults import Fault

HEAD_START = 0.1
"""Seconds that the first row is alone until something comes back, so that a wrong key or model is refused once."""
FAR_HEAD_START = 1.0
"""The same for a provider on the other side of a network: what takes a fraction of one answer there."""
NEVER_THERE = 2.0
"""Seconds of refused connections after which a server that never answered is not running."""
NEVER_WELL = 15.0
"""Seconds of nothing but faults, where no call was ever answered."""
NO_LONGER_WELL = 30.0
"""Seconds of nothing but faults after answers: time for a server to restart."""
BUSY = 900.0
"""Seconds of nothing but 429s: a quota per minute is waited out, a spent one is not worth a night."""
REJECTIONS = 20
"""Requests refused as wrong, and none answered, after which all of them are taken to be wrong."""
WEB_PAGES = 5
"""Web pages in place of the first reply ever, after which the address is taken to be no API's."""
LONGEST_QUIET = 120.0
"""Seconds that a Retry-After can hold new rows back while everything fails."""
PROBE = 1.0
"""Seconds between new rows that are tried while everything fails."""


class Breaker:
    """Watches calls go wrong one after the other.

    heard: whether anything came back so far. failing: calls that went wrong since the last answer.
    """

    def __init__(self, concurrency: int, far: bool = False) -> None:
        """`far`: the teacher is a provider's, not a server nearby."""
        self.head_start = FAR_HEAD_START if far else HEAD_START
        self.most = max(4, concurrency)
        self.answered_ever = False
        self.heard = False
        self.failing = 0
        self.rejected = 0
        self.pages = 0
        self._since = 0.0
        self._begun = 0.0
        self._probed = 0.0
        self._busy = True
        self._quiet_until = 0.0

    def answered(self) -> None:
        """A reply came, so the teacher is there."""
        self.answered_ever = self.heard = True
        self.failing = self.rejected = 0

    def failed(self, fault: Fault, now: float) -> bool:
        """A call went wrong; whether to give up now."""
        self.heard = True
        if fault.stops:
            return True
        if fault.kind == "rejected":  # a server that reads requests is there
            self.rejected += 1
            self.failing = 0
            return not self.answered_ever and self.rejected >= REJECTIONS
        self.pages += fault.kind == "web_page"
        if self.pages >= WEB_PAGES and not self.answered_ever:
            return True
        if not self.failing:
            self._since, self._busy = now, True
        self.failing += 1
        self._busy = self._busy and fault.kind == "rate_limited"
        if fault.retry_after is not None:
            self._quiet_until = max(self._quiet_until, now + min(fault.retry_after, LONGEST_QUIET))
        if self.failing < min(self.most, 20):
            return False
        patience = NO_LONGER_WELL if self.answered_ever else NEVER_WELL
        if fault.kind == "connection" and not self.answered_ever:
            patience = NEVER_THERE
        if self._busy:
            patience = BUSY
        return now - self._since >= patience

    def until_probe(self, now: float) -> float | None:
        """Seconds until a new row may be tried where none may be now; None where it is not for time to tell."""
        if not self.heard:
            alone = self._begun + self.head_start - now
            return max(0.001, alone) if alone > 0 else None
        return max(0.01, self._probed + PROBE - now, self._quiet_until - now) if self.failing else None

    def lets_new_rows(self, idle: bool, now: float) -> bool:
        """Whether a row not asked so far may be tried: freely, but one at first, and one a second while all fail."""
        if not self.heard:
            if idle:
                self._begun = now
            return idle or now - self._begun >= self.head_start
        if self.failing < self.most:
            return True
        if idle and now - self._probed >= PROBE and now >= self._quiet_until:
            self._probed = now
            return True
        return False

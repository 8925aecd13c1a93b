"""How fast and how many at once: the limiter and the breaker against simulated providers, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from recipes.chat import ChatRequest, Message, Sampling, Usage
from synth.breaker import HEAD_START, NEVER_THERE, NEVER_WELL, NO_LONGER_WELL, REJECTIONS, Breaker
from synth.faults import Fault
from synth.limits import Limiter
from synth.rates import Allowance, Bucket

Provider = Callable[[float, int], bool]
"""(time, calls being served) -> whether one more is served."""


def simulate(
    limiter: Limiter, provider: Provider, rows: int, latency: float, after: float = 1.0, now: float = 0.0
) -> tuple[float, int]:
    """Run `rows` calls through; the time they ended and the 429s they cost. A refusal comes back in 2 ms."""
    waste, serving, left = 0, 0, rows
    ends: list[tuple[float, int, bool, int]] = []
    due: list[float] = []
    order = 0
    while left or ends or due:
        while left or (due and due[0] <= now):
            wait = limiter.wait(0, now)
            if wait is None or wait > 0:
                break
            if due and due[0] <= now:
                heapq.heappop(due)
            else:
                left -= 1
            served = provider(now, serving)
            serving += served
            order += 1
            heapq.heappush(ends, (now + (latency if served else 0.002), order, served, limiter.sent(0)))
        wakes = [ends[0][0]] if ends else []
        wait = limiter.wait(0, now) if left or due else None
        wakes += [now + wait] if wait else []
        wakes += [due[0]] if due and due[0] > now else []
        now = max(now + 1e-6, min(wakes))
        while ends and ends[0][0] <= now:
            _, _, served, epoch = heapq.heappop(ends)
            if served:
                serving -= 1
                limiter.answered(epoch, latency, 0, Usage(), now)
            else:
                waste += 1
                limiter.failed(epoch, 0, True, now)
                heapq.heappush(due, now + after)
    return now, waste


def rate_cap(rps: float) -> Provider:
    level, at = rps * 0.5, 0.0

    def serve(now: float, serving: int) -> bool:
        nonlocal level, at
        level, at = min(rps * 0.5, level + (now - at) * rps), now
        if level < 1:
            return False
        level -= 1
        return True

    return serve


def test_without_refusals_all_places_are_used() -> None:
    limiter = Limiter(64, 0.0)
    seconds, waste = simulate(limiter, lambda now, serving: True, 640, 0.2)
    assert waste == 0
    assert seconds == pytest.approx(2.0, abs=0.01)
    assert limiter.limit == 64


@pytest.mark.parametrize("latency", [0.05, 0.2, 1.0])
def test_a_true_rate_cap_is_used_and_not_stormed(latency: float) -> None:
    rps = 400
    rows = int(20_000 * max(latency, 0.2))
    seconds, waste = simulate(Limiter(256 if latency < 1 else 1024, 0.0), rate_cap(rps), rows, latency)
    assert rows / seconds >= 0.90 * rps
    assert waste <= 0.15 * rows


def test_a_cap_on_calls_at_once_is_found() -> None:
    limiter = Limiter(64, 0.0)
    seconds, waste = simulate(limiter, lambda now, serving: serving < 10, 1000, 0.2)
    assert 1000 / seconds >= 0.85 * 10 / 0.2
    assert waste <= 200
    assert limiter.limit <= 15


def test_a_few_random_refusals_cost_no_concurrency() -> None:
    rng = random.Random(5)
    seconds, waste = simulate(Limiter(64, 0.0), lambda now, serving: rng.random() > 0.05, 4000, 0.2)
    assert 4000 / seconds >= 0.80 * 320
    assert waste < 300


def test_after_a_storm_the_limit_comes_back() -> None:
    limiter = Limiter(64, 0.0)
    end, _ = simulate(limiter, lambda now, serving: now > 3.0, 200, 0.2, after=0.5)
    low = limiter.limit
    simulate(limiter, lambda now, serving: True, 6000, 0.2, now=end)
    assert low < 64 and limiter.limit == 64


def request(content: str = "x" * 400, max_tokens: int = 100) -> ChatRequest:
    return ChatRequest("e", "m", (Message("user", content),), Sampling(0.0, max_tokens))


def test_requests_per_minute_are_kept() -> None:
    limiter, sent, now = Limiter(1000, 0.0, rpm=120), 0, 0.0
    while now < 60:
        wait = limiter.wait(0, now)
        if wait == 0.0:
            limiter.answered(limiter.sent(0), 0.01, 0, Usage(), now)
            sent += 1
        else:
            assert wait is not None
            now += wait
    assert 120 <= sent <= 120 + 120 / 6 + 1, "a minute's worth, and the burst it began with"


def test_tokens_per_minute_are_settled_by_what_was_used() -> None:
    limiter = Limiter(1000, 0.0, tpm=6000)
    assert limiter.rates.estimate(request()) == 200
    epoch = limiter.sent(200)
    limiter.answered(epoch, 0.1, 200, Usage(100, 0, 20), 0.1)
    assert limiter.rates.estimate(request()) == 120, "replies are as long as they have been"
    used, now = 120.0, 0.0
    while now < 60:
        wait = limiter.wait(120, now)
        if wait == 0.0:
            limiter.answered(limiter.sent(120), 0.01, 120, Usage(100, 0, 20), now)
            used += 120
        else:
            assert wait is not None
            now += wait
    assert 6000 <= used <= 6000 * 7 / 6 + 240


def test_headers_teach_the_rate_unless_the_recipe_gives_one() -> None:
    limiter = Limiter(1000, 0.0)
    assert limiter.wait(0, 0.0) == 0.0
    limiter.rates.learn(Allowance(requests=60, requests_left=0, requests_reset=5.0), 0.0)
    assert limiter.wait(0, 1.0) == pytest.approx(4.0)
    assert limiter.wait(0, 6.0) == 0.0
    limiter.rates.learn(Allowance(tokens=6000, tokens_left=50, tokens_reset=59.0), 6.0)
    assert limiter.wait(150, 6.0) == pytest.approx(1.0)
    given = Limiter(1000, 0.0, rpm=6000)
    given.rates.learn(Allowance(requests=60, requests_left=0, requests_reset=5.0), 0.0)
    assert given.wait(0, 0.0) == 0.0


def test_a_call_larger_than_the_bucket_still_goes() -> None:
    bucket = Bucket(1.0, 10.0, 0.0)
    assert bucket.wait(1e6, 0.0) == 0.0
    bucket.take(1e6)
    assert bucket.wait(1, 0.0) > 1e5


def test_the_breaker_gives_a_server_time_and_then_gives_up() -> None:
    refused, server = Fault("connection", "refused"), Fault("server", "down", 503)
    for fault, patience, answered in (
        (refused, NEVER_THERE, False),
        (refused, NO_LONGER_WELL, True),
        (server, NEVER_WELL, False),
        (server, NO_LONGER_WELL, True),
    ):
        breaker = Breaker(8)
        if answered:
            breaker.answered()
        assert not any(breaker.failed(fault, 100.0) for _ in range(50)), "many at one moment are one outage"
        assert not breaker.failed(fault, 100.0 + patience - 0.1)
        assert breaker.failed(fault, 100.0 + patience)
        breaker.answered()
        assert not breaker.failed(fault, 500.0)


def test_the_breaker_stops_at_once_where_nothing_can_help() -> None:
    for kind in ("unauthorised", "not_found", "quota", "redirected"):
        assert Breaker(8).failed(Fault(kind, "no"), 0.0)
    breaker = Breaker(8)
    wrong = Fault("rejected", "bad field", 400)
    assert [breaker.failed(wrong, 0.0) for _ in range(REJECTIONS)] == [False] * (REJECTIONS - 1) + [True]
    breaker.answered()
    assert not any(breaker.failed(wrong, 0.0) for _ in range(100)), "single rows may be wrong"


def test_the_first_row_is_alone_until_something_comes_back() -> None:
    breaker = Breaker(4)
    assert breaker.lets_new_rows(True, 5.0)
    assert breaker.lets_new_rows(True, 6.0), "nothing was to be asked about the first rows"
    assert not breaker.lets_new_rows(False, 6.0)
    assert breaker.until_probe(6.0) == pytest.approx(HEAD_START)
    assert breaker.lets_new_rows(False, 6.001 + HEAD_START)
    assert breaker.until_probe(6.001 + HEAD_START) is None, "nothing more is to be waited for"
    breaker.failed(Fault("timeout", "late"), 6.1)
    assert breaker.lets_new_rows(False, 6.1)
    far = Breaker(4, far=True)
    assert far.lets_new_rows(True, 6.0)
    assert not far.lets_new_rows(False, 6.9)
    assert far.lets_new_rows(False, 7.0)


def test_new_rows_only_probe_while_everything_fails() -> None:
    breaker = Breaker(4)
    for calls_out in range(4):
        assert breaker.lets_new_rows(calls_out == 0, 0.0)
        breaker.failed(Fault("server", "down", 503), 0.0)
    assert not breaker.lets_new_rows(False, 10.0), "others are still out"
    assert breaker.lets_new_rows(True, 10.0)
    assert not breaker.lets_new_rows(True, 10.5)
    breaker.answered()
    assert breaker.lets_new_rows(False, 10.6)


def test_a_quota_per_minute_is_waited_out() -> None:
    breaker = Breaker(8)
    breaker.answered()
    busy = Fault("rate_limited", "slow down", 429, retry_after=40.0)
    assert not any(breaker.failed(busy, now / 10) for now in range(3000))  # five minutes of nothing but 429s
    assert not breaker.lets_new_rows(True, 301.0)  # Retry-After holds new rows back, too
    assert breaker.lets_new_rows(True, 341.0)
    assert breaker.failed(busy, 2000.0)


def test_other_faults_among_the_429s_are_not_waited_out() -> None:
    breaker = Breaker(8)
    mixed = [Fault("rate_limited", "slow down", 429), Fault("server", "oops", 500)]
    assert any(breaker.failed(mixed[turn % 2], float(turn)) for turn in range(40))

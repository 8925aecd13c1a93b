"""Money: what is reserved covers what is billed, whatever goes wrong, and the cap is never passed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest
from asking import ask, question, teacher
from hypothesis import given
from hypothesis import strategies as st
from stubs import TeacherStub

from recipes.chat import ChatRequest, Message, Price, Reply, Sampling, Usage
from recipes.errors import BudgetError, TeacherError
from synth import pump, retries
from synth.budget import Budget, add
from synth.journal import Journal

PRICE = Price(input=270.0, cached_input=70.0, output=1100.0)
"""A thousand times DeepSeek's, so that small tests cost something."""


def capped(usd: float) -> Callable[[Journal], Budget]:
    return lambda journal: Budget(PRICE, usd, journal.usage)


def cost(usages: list[Usage]) -> float:
    return sum(PRICE.cost(usage) for usage in usages)


def dear(rng: random.Random, body: dict) -> Usage:
    """A provider's bill, up to the worst it can be: a token per byte, and max_tokens of reply."""
    size = sum(len(message["content"].encode()) for message in body["messages"])
    prompt = rng.choice((size // 4, size, size + 8 * len(body["messages"]) + 60))
    return Usage(prompt, rng.choice((0, 0, prompt // 2)), rng.randint(0, body["max_tokens"]))


def test_two_hundred_random_runs_never_pass_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_BACKOFF", 0.0005)
    monkeypatch.setattr(retries, "LONGEST_BACKOFF", 0.001)
    monkeypatch.setattr(pump, "GRACE_SECONDS", 0.05)
    stopped = 0
    for seed in range(200):
        rng = random.Random(seed)
        faults = {kind: rng.choice((0, 0.1)) for kind in ("429", "500", "reset", "cut", "empty", "html", "length")}
        faults["silent"] = 0.05 if seed % 10 == 0 else 0
        cap, path, rows = rng.uniform(0.1, 3.0), tmp_path / f"{seed}.jsonl", rng.randint(3, 18)
        with TeacherStub(
            faults=faults, seed=seed, retry_after=0.001, tokens=lambda body, rng=rng: dear(rng, body)
        ) as stub:
            where = teacher(stub.url, concurrency=rng.choice((1, 3, 16)), timeout=0.1, retries=3, price=PRICE)
            for _ in range(1 + (seed % 4 == 0)):
                try:
                    ask(where, path, range(rows), budget=capped(cap))
                except BudgetError:
                    stopped += 1
                except TeacherError:  # a machine that stands still for seconds sees a teacher that is gone
                    pass
            billed = cost(stub.billed)
        with Journal.open(path) as journal:
            known = PRICE.cost(journal.usage)
        assert billed <= cap, f"run {seed} was billed {billed:.4f} of {cap:.4f}"
        assert known >= billed - 1e-9, f"run {seed} knows of {known:.4f} of {billed:.4f}"
        path.unlink()
    assert 40 < stopped < 200, "some runs fit and some do not"


def test_the_cap_is_used_well_and_the_sentence_says_how_to_go_on(tmp_path: Path) -> None:
    path, rows = tmp_path / "j.jsonl", range(500)
    bill = Usage(30, 10, 20)
    with TeacherStub(tokens=lambda body: bill) as stub:
        where = teacher(stub.url, price=PRICE)
        cap = 100.5 * PRICE.cost(bill)
        with pytest.raises(BudgetError, match=r"budget_usd [\d.]+ is reached: [\d.]+ USD are spent") as caught:
            ask(where, path, rows, budget=capped(cap))
        asked = len(stub.seen)
        most = PRICE.cost(Budget(PRICE, 1.0).bound(question(where, 0)))
        assert cap - cost(stub.billed) <= most, "it stops only when not one more call is sure to fit"
        assert f"{500 - asked:,} rows are not asked. Raise synthesis.budget_usd" in str(caught.value)
        with pytest.raises(BudgetError):
            ask(where, path, rows, budget=capped(cap))
        assert len(stub.seen) == asked, "the cap is for the run folder, not for each start"
        done = ask(where, path, rows, budget=capped(10 * cap))
        assert len(done) == 500 and len(stub.seen) == 500
        with Journal.open(path) as journal:
            assert PRICE.cost(journal.usage) == pytest.approx(cost(stub.billed)), "settled to the cent"


def test_a_reply_without_usage_is_charged_at_its_reservation(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with TeacherStub(tokens=lambda body: Usage()) as stub:
        where = teacher(stub.url, price=PRICE)
        ask(where, path, range(3), budget=capped(100.0))
    most = Budget(PRICE, 1.0).bound(question(where, 0))
    with Journal.open(path) as journal:
        assert journal.usage == add(add(most, most), most)


PROGRAM = """
    import sys
    from pathlib import Path
    from asking import ask, teacher
    from test_synth_budget import PRICE, capped
    from recipes.errors import BudgetError
    where = teacher(sys.argv[1], concurrency=8, price=PRICE)
    try:
        ask(where, Path(sys.argv[2]), range(400), budget=capped(float(sys.argv[3])))
    except BudgetError:
        sys.exit(3)
"""


def test_the_cap_holds_through_kills(tmp_path: Path) -> None:
    path, cap, rng = tmp_path / "j.jsonl", 6.0, random.Random(2)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with TeacherStub(latency=0.03, tokens=partial(dear, rng)) as stub:
        program = [sys.executable, "-c", dedent(PROGRAM), stub.url, str(path), str(cap)]
        for kill in range(3):
            process = subprocess.Popen(program, env=environment)
            while sum(stub.answered.values()) < 12 * (kill + 1) and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            process.wait()
        assert subprocess.run(program, env=environment, check=False).returncode == 3
        assert 0.3 * cap <= cost(stub.billed) <= cap
    with Journal.open(path) as journal:
        assert PRICE.cost(journal.usage) >= cost(stub.billed) - 1e-9


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), st.integers(1, 4096))
def test_the_bound_is_above_any_tokenizer(texts: list[str], max_tokens: int) -> None:
    messages = tuple(Message("user", text) for text in texts)
    budget = Budget(PRICE, 1.0)
    plain = budget.bound(ChatRequest("e", "m", messages, Sampling(0.0, max_tokens)))
    assert plain.prompt >= sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert plain.completion == max_tokens
    form = {"type": "json_schema", "json_schema": {"schema": {"properties": {"label": {"enum": ["a", "b"]}}}}}
    assert budget.bound(ChatRequest("e", "m", messages, Sampling(0.0, 1), form)).prompt > plain.prompt


def test_a_provider_that_adds_more_than_allowed_for_is_learnt_from() -> None:
    budget = Budget(PRICE, 100.0)
    request = ChatRequest("e", "m", (Message("user", "hi"),), Sampling(0.0, 10))
    first = budget.bound(request)
    budget.reserve(first)
    budget.settle(first, Usage(3 * first.prompt, 0, 5))
    assert budget.bound(request).prompt >= 3 * first.prompt
    assert budget.reserved == Usage()


def test_cached_tokens_are_priced_apart() -> None:
    budget = Budget(Price(input=1.0, cached_input=0.1, output=2.0), 1.0, Usage(1_000_000, 500_000, 0))
    assert budget.spent_usd() == pytest.approx(0.55)
    assert budget.fits(Usage(450_000, 0, 0)) and not budget.fits(Usage(450_001, 0, 0))
    odd = Budget(Price(input=1.0, cached_input=5.0, output=0.0), 1.0)
    bound = odd.bound(ChatRequest("e", "m", (Message("user", "x" * 100),), Sampling(0.0, 1)))
    assert odd.price.cost(bound) >= 5.0 * 100 / 1e6, "the dearer of the two prices is reserved"


def test_the_reply_is_kept_where_the_budget_ends(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with TeacherStub(tokens=lambda body: Usage(40, 0, 50)) as stub:
        where = teacher(stub.url, price=PRICE, concurrency=1)
        with pytest.raises(BudgetError):
            ask(where, path, range(10), budget=capped(0.3))
        kept = len(stub.seen)
    assert kept >= 1
    with Journal.open(path) as journal:
        assert [isinstance(journal.get(question(where, row).key()), Reply) for row in range(kept + 1)] == [
            *[True] * kept,
            False,
        ]

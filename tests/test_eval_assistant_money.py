"""What the assistant's scored answers cost: agreed to, reserved, settled, and never lost sight of."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from rag_runs import WordEmbedder, without_model
from stubs import TeacherStub
from test_eval_assistant import cites, score, write_shop

from eval.kept_speaker import KeptReplies, KeptSpeaker, Spoken
from eval.score_retrieval import score_retrieval
from rag.indexing import build_index
from rag.speakers import Ask, open_speaker
from recipes.chat import Price, Usage
from recipes.rows import Turn
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe
from synth.budget import Budget

PRICE = {"input": 100.0, "output": 100.0}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    without_model(monkeypatch)
    monkeypatch.setattr("eval.searching.open_embedder", WordEmbedder)
    monkeypatch.setattr("eval.kept_speaker.PAUSES", (0.0, 0.0))
    return RunFolder(tmp_path / "run")


def spoken(**changes: Any) -> Spoken:
    line = {"key": "", "question": "q", "thought": "", "text": "", "cut": True, "prompt_tokens": 100,
            "completion_tokens": 50, "seconds": 0.0, "model": "m"}  # fmt: skip
    return Spoken.model_validate(line | changes)


def test_what_a_call_may_cost_counts_until_it_is_known(tmp_path: Path) -> None:
    kept = KeptReplies(tmp_path / "replies.jsonl")
    kept.add(spoken(call="a"))
    assert (kept.usage, kept.paid, len(kept)) == (Usage(100, 0, 50), {"m"}, 0)
    kept.add(spoken(call="a", key="k", prompt_tokens=7, completion_tokens=5))
    kept.add(spoken(call="killed"))
    kept.add(spoken(call="refused", model="n"))
    kept.add(spoken(call="refused", model="n", prompt_tokens=0, completion_tokens=0))
    kept.add(spoken(key="free", model="local", prompt_tokens=1, completion_tokens=1))
    for one in (kept, KeptReplies(tmp_path / "replies.jsonl")):
        assert (one.usage, one.paid, len(one)) == (Usage(108, 0, 56), {"m", "n"}, 2)


def test_a_line_that_cannot_be_read_costs_no_other(run: RunFolder, tmp_path: Path) -> None:
    kept = run.path / "retrieval" / "replies.jsonl"
    lines = [spoken(key=key).model_dump_json() + "\n" for key in "abc"]
    write_atomic(kept, "".join([lines[0], "{}\n", *lines[1:], '{"key": "cut']).encode())
    with TeacherStub(cites) as stub:
        broken = score(tmp_path, run, stub.url)
    assert broken.failed and f"{kept}: line 2 cannot be read" in broken.stopped and not stub.seen
    assert len(kept.read_bytes().splitlines()) == 5
    write_atomic(kept, "".join([*lines, '{"key": "cut']).encode())
    assert len(KeptReplies(kept)) == 3
    assert len(kept.read_bytes().splitlines()) == 3


def test_each_try_is_paid_from_the_budget(run: RunFolder, tmp_path: Path) -> None:
    with TeacherStub(cites, script=["cut"] * 3) as stub:
        report = score(tmp_path, run, stub.url, PRICE, budget_usd=0.15)
    assert len(stub.seen) == 1, "the first may have been billed, and what is left does not cover another"
    assert "does not cover the next answer" in report.stopped and not report.failed
    assert 0 < Price.model_validate(PRICE).cost(KeptReplies(run.path / "retrieval" / "replies.jsonl").usage) <= 0.15


def test_what_was_on_its_way_when_it_was_killed_is_counted_as_spent(run: RunFolder, tmp_path: Path) -> None:
    asked, ended = threading.Event(), threading.Event()

    def never(body: dict[str, Any]) -> str:
        asked.set()
        ended.wait(20)
        return "late"

    with TeacherStub(never) as stub:
        recipe = write_shop(tmp_path, stub.url, PRICE, budget_usd=0.15)
        build_index(recipe, run)
        path = run.path / "retrieval" / "replies.jsonl"

        async def killed() -> None:
            async with open_speaker(recipe, run) as speaker:
                kept = KeptReplies(path)
                asking = KeptSpeaker(speaker, stub.url, kept, Budget(Price.model_validate(PRICE), 0.15))
                turn = Turn(role="user", content="Which lamp?")
                task = asyncio.ensure_future(anext(asking.say(Ask((turn,), 100, 0.0))))
                assert await asyncio.to_thread(asked.wait, 20)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(killed())
        ended.set()
    most = KeptReplies(path).usage
    assert most.completion == 100 and most.prompt > len("Which lamp?")


def test_every_model_that_costs_money_has_its_own_yes(run: RunFolder, tmp_path: Path) -> None:
    def named(model: str) -> Recipe:
        assert recipe.assistant is not None and recipe.assistant.endpoint is not None
        endpoint = recipe.assistant.endpoint.model_copy(update={"model": model})
        return recipe.model_copy(update={"assistant": recipe.assistant.model_copy(update={"endpoint": endpoint})})

    with TeacherStub(cites) as stub:
        recipe = write_shop(tmp_path, stub.url, PRICE)
        build_index(recipe, run)
        assert not score_retrieval(named("m"), run, yes=True).stopped
        asked = len(stub.seen)
        other = score_retrieval(named("n"), run, yes=False)
        assert other.failed and "the assistant n costs money" in other.stopped and len(stub.seen) == asked
        assert not score_retrieval(named("n"), run, yes=True).stopped
        again = named("m").model_copy(update={"evaluation": recipe.evaluation.model_copy(update={"seed": 7})})
        assert not score_retrieval(again, run, yes=False).stopped
        assert len(stub.seen) > 2 * asked

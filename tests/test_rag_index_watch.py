"""An index that is made anew, taken away or replaced under an assistant that has it open, and what /health says."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from rag_runs import WordEmbedder, product, shop, without_model
from talking import Talker, serving

from rag.assistant import Assistant, Sources, open_assistant
from rag.index_watch import IndexWatch
from rag.indexing import build_index
from recipes.errors import RunError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.schema import Recipe

ASKED = (Turn(role="user", content="What colour is lamp model 3?"),)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    without_model(monkeypatch)
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    return shop(tmp_path, [product(number) for number in range(1, 6)])


async def first(assistant: Assistant) -> object:
    """What comes first of an answer."""
    async with aclosing(assistant.reply(ASKED)) as events:
        return await anext(events)


def test_an_index_that_was_made_since_is_told_to_the_operator_once(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "run")
    build_index(recipe, run)
    watch = IndexWatch(run)
    assert watch.state() == "current"
    run.begin("index")
    assert watch.state() == "current"  # it is being made
    shop(tmp_path, [product(number) for number in range(1, 9)])
    build_index(recipe, run)
    assert [watch.state(), watch.state()] == ["old", "old"]
    assert capsys.readouterr().err.count("the index was changed since this was started") == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_from_an_index_that_is_gone_nothing_is_answered(recipe: Recipe, tmp_path: Path, replaced: bool) -> None:
    run = RunFolder(tmp_path / "run")
    build_index(recipe, run)

    async def lose_it() -> None:
        async with open_assistant(recipe, run) as assistant:
            assert isinstance(await first(assistant), Sources) and assistant.index == "current"
            run.path.rename(tmp_path / "away")
            if replaced:
                shutil.copytree(tmp_path / "away", run.path)
            assert assistant.index == "gone"
            with pytest.raises(RunError, match="removed or replaced since this was started"):
                await first(assistant)

    asyncio.run(lose_it())


class Losing(Talker):
    """A Talker whose index is gone."""

    async def _events(self, question: str):
        raise RunError("/srv/runs/shop: the index was removed")
        yield


def test_a_request_to_a_lost_index_is_a_503_and_the_log_says_why() -> None:
    with serving(Losing()) as at:
        body = {"messages": [{"role": "user", "content": "kettle?"}]}
        for stream in (False, True):
            answer = httpx.post(at.url + "/v1/chat/completions", json=body | {"stream": stream})
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "no_catalogue"
            assert "cannot be searched" in answer.text and "/srv" not in answer.text
    assert sum("/srv/runs/shop: the index was removed" in line for line in at.log) == 2


@pytest.mark.parametrize(
    ("alive", "index", "status", "message"),
    [
        (True, "current", 200, None),
        (True, "old", 200, "the index was changed"),
        (True, "gone", 503, "the index was removed or replaced"),
        (False, "old", 503, "the model has failed"),
    ],
)
def test_health_says_in_a_sentence_what_is_to_be_done(
    alive: bool, index: str, status: int, message: str | None
) -> None:
    talker = Talker()
    talker.alive, talker.index = alive, index
    with serving(talker) as at:
        answer = httpx.get(at.url + "/health")
    said = answer.json()
    assert answer.status_code == status and said["status"] == ("ok" if status == 200 else "failed")
    assert (
        said["index"] == index
        and said.get("message", "").startswith(message or "")
        and ("message" in said) == bool(message)
    )

"""Endpoints that do not keep to max_tokens, over real HTTP on a loopback port."""

from __future__ import annotations

import asyncio
import json

import pytest
from streams import DONE, Stream, Streams, delta, event
from test_rag_remote import ask, heard, served

from rag.bounds import CHARS_PER_TOKEN, SPARE_CHARS, SPARE_DELTAS
from rag.remote import RemoteSpeaker
from rag.speakers import Ask, Ending
from recipes.rows import Turn

FIVE = Ask((Turn(role="user", content="Is it quiet?"),), 5, 0.0)
MOST_CHARS = 5 * CHARS_PER_TOKEN + SPARE_CHARS


@pytest.mark.parametrize("name", ["content", "reasoning_content"])
def test_a_model_that_loops_is_left(name: str) -> None:
    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        thought, text, ending = await asyncio.wait_for(heard(speaker, FIVE), 10)
        assert thought + text == "ab" * (5 + SPARE_DELTAS) and ending.reason == "length"
        await asyncio.wait_for(server.seen[0].left.wait(), 10)

    served([Stream([delta(**{name: "ab"}) for _ in range(60)] + [None])], test)


def test_an_answer_of_few_large_pieces_is_cut() -> None:
    counted = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 9_000})
    long = delta("x" * 40_000)
    thought, text, ending = ask([delta(None, reasoning="y" * 100), long, long, delta("", "stop"), counted, DONE], FIVE)
    assert (len(thought), len(text), ending.reason) == (100, MOST_CHARS - 100, "length")
    body = {"choices": [{"message": {"content": "x" * 84_000}, "finish_reason": "stop"}], "usage": {
        "prompt_tokens": 3, "completion_tokens": 9_000}}  # fmt: skip
    at_once = Stream([json.dumps(body).encode()], headers={"content-type": "application/json"})
    assert served([at_once], lambda speaker, _: heard(speaker, FIVE)) == (
        "",
        "x" * MOST_CHARS,
        Ending("length", 3, 9_000),
    )


def test_an_answer_within_its_tokens_is_left_alone() -> None:
    parts = [delta(word) for word in ("Yes", ",", " it", " is", ".")]
    assert ask([*parts, delta("", "stop"), DONE], FIVE)[1:] == ("Yes, it is.", Ending("stop", 8, 4))


def test_a_body_that_is_all_there_lets_others_work() -> None:
    async def test(speaker: RemoteSpeaker, _: Streams) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.ensure_future(other())
        await heard(speaker, Ask(FIVE.messages, 500, 0.0))
        working.cancel()
        assert turns > 400

    served([Stream([delta("x") * 400 + delta("", "stop") + DONE])], test)


def test_an_endpoint_that_stops_before_the_first_word_gave_an_answer() -> None:
    nothing: list[bytes | float | None] = [delta("", "stop"), DONE]
    assert ask(nothing, Ask(FIVE.messages, 5, 0.0, stop=("Yes",)))[2].cut
    assert not ask(nothing, FIVE)[2].cut

"""Endpoints that stream, over real HTTP on a loopback port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from streams import DONE, Stream, Streams, delta, event

from rag.deltas import Delta, read_delta
from rag.remote import RemoteSpeaker, open_remote
from rag.speakers import Ask, Ending, Piece, Speaker, open_speaker
from rag.sse import MOST_LINE_BYTES, Events
from recipes.chat import Usage
from recipes.errors import AskError, TeacherError, TutelageError
from recipes.rows import Turn
from recipes.runs import RunFolder
from recipes.schema import Recipe, Teacher
from synth.faults import Fault

ASK = Ask((Turn(role="system", content="Be brief."), Turn(role="user", content="Is it quiet?")), 64, 0.5)
KEY = "sk-test-0123456789abcdefghij"


def make_recipe(url: str, **assistant: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "shop",
            "task": "description",
            "source": {"path": "products.jsonl", "fields": {"title": "title", "description": "text"}},
            "students": {"s": {"kind": "causal", "base": "scratch", "format": "alpaca", "lora": None,
                               "quantization": "none"}},
            "assistant": {"model": "endpoint", "endpoint": {"base_url": url, "model": "m", "timeout": 5}} | assistant,
        }
    )  # fmt: skip


def served(
    answers: list[Stream], test: Callable[[RemoteSpeaker, Streams], Coroutine[Any, Any, Any]], **more: Any
) -> Any:
    """Run `test` with a speaker at a server that gives these answers."""

    async def run() -> Any:
        async with Streams(answers) as server, open_remote(make_recipe(server.url, **more)) as speaker:
            return await test(speaker, server)

    return asyncio.run(run())


async def heard(speaker: Speaker, ask: Ask = ASK) -> tuple[str, str, Ending]:
    """(thought, answer, ending)."""
    said = [one async for one in speaker.say(ask)]
    pieces, ending = said[:-1], said[-1]
    assert isinstance(ending, Ending)
    thought, answer = (
        "".join(one.text for one in pieces if isinstance(one, Piece) and one.thought is kind) for kind in (True, False)
    )
    return thought, answer, ending


def ask(answer: list[bytes | float | None], question: Ask = ASK, **more: Any) -> tuple[str, str, Ending]:
    return served([Stream(answer)], lambda speaker, _: heard(speaker, question), **more)


def test_an_answer_comes_in_pieces_and_ends_with_what_was_counted() -> None:
    usage = event(choices=[], usage={"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26})
    parts = [delta("Ye", role="assistant"), 0.01, delta("s, it is 🎧"), delta("", "stop"), usage, DONE]

    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        asked = Ask(ASK.messages, 64, 0.5, top_p=0.9, seed=7, stop=("END",))
        said = [one async for one in speaker.say(asked)]
        assert said == [Piece("Ye"), Piece("s, it is 🎧"), Ending("stop", 21, 5)]
        assert server.seen[0].body == {
            "model": "m", "temperature": 0.5, "max_tokens": 64, "top_p": 0.9, "seed": 7, "stop": ["END"],
            "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it quiet?"}],
        }  # fmt: skip
        assert "authorization" not in server.seen[0].headers

    served([Stream(parts)], test)


def test_nothing_depends_on_where_the_network_cuts() -> None:
    whole = b": hello\r\n\r\n" + delta(None, reasoning_content="Hm 日") + delta("<thi") + delta("nk>b</think> é")
    whole = whole.replace(b"\n\n", b"\r\n\r\n") + delta("!", "length") + DONE
    for size in (1, 7, len(whole)):
        parts: list[bytes | float | None] = [whole[place : place + size] for place in range(0, len(whole), size)]
        assert ask(parts)[:2] == ("Hm 日b", "é!")
        assert ask(parts)[2].reason == "length"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_is_thought_comes_apart(name: str) -> None:
    assert ask([delta(None, **{name: "It "}), delta("", **{name: "is."}), delta("Yes"), delta(None, "stop")])[:2] == (
        "It is.",
        "Yes",
    )
    assert ask([delta("<think>It is.</think>\n\nYes", "stop"), DONE])[:2] == ("It is.", "Yes")


def test_a_stop_string_is_not_said_and_ends_the_answer() -> None:
    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        asked = Ask(ASK.messages, 64, 0.5, stop=("END", "\n\n"))
        assert (await heard(speaker, asked))[1:] == ("Yes E ", Ending("stop", 15, 5, cut=True))
        await asyncio.wait_for(server.seen[0].left.wait(), 10)

    served([Stream([delta("Yes E"), delta(" EN"), delta("D more"), None])], test)
    assert ask([delta("Yes E"), delta("N", "stop"), DONE], Ask(ASK.messages, 64, 0.5, stop=("END",)))[1] == "Yes EN"


def test_who_stops_listening_closes_the_connection() -> None:
    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        async with aclosing(speaker.say(ASK)) as said:
            async for piece in said:
                assert piece == Piece("Yes")
                break
        await asyncio.wait_for(server.seen[0].left.wait(), 10)
        waiting = asyncio.ensure_future(heard(speaker))
        while len(server.seen) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(server.seen[1].left.wait(), 10)

    served([Stream([delta("Yes"), None])], test)


def test_no_more_connections_than_answers_at_once() -> None:
    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        answers = await asyncio.gather(*(heard(speaker) for _ in range(9)))
        assert {answer for _, answer, _ in answers} == {"Yes"}
        assert server.most_open == 3

    served([Stream([0.02, delta("Yes", "stop"), DONE])], test, concurrency=3)


def test_a_server_that_does_not_stream() -> None:
    message = {"role": "assistant", "content": "<think>Hm</think>Yes"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    body = {"choices": [{"message": message, "finish_reason": "length"}], "usage": usage}
    answer = Stream([json.dumps(body).encode()], headers={"content-type": "application/json"})
    assert served([answer], lambda speaker, _: heard(speaker)) == ("Hm", "Yes", Ending("length", 9, 4))


def test_a_server_that_does_not_know_our_own_fields_is_asked_without_them() -> None:
    def refused(said: str) -> Stream:
        return Stream([json.dumps({"error": {"message": said}}).encode()], 400, {"content-type": "application/json"})

    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        assert (await heard(speaker))[1] == "Yes"
        first, _, last = (seen.body for seen in server.seen)
        assert set(first) - set(last) == {"stream_options", "max_tokens"}
        assert last["max_completion_tokens"] == 64

    answers = [refused("extra fields: stream_options"), refused("Unsupported: use 'max_completion_tokens'")]
    served([*answers, Stream([delta("Yes", "stop"), DONE])], test)

    async def again(speaker: RemoteSpeaker, server: Streams) -> None:
        with pytest.raises(TeacherError, match="stream_options"):
            await heard(speaker)
        assert len(server.seen) == 2

    served([refused("extra fields: stream_options")], again)


ERROR = json.dumps({"error": {"message": f"no such key {KEY}"}}).encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Stream([ERROR], 401),
            r"assistant.endpoint at http\S+ gave no answer \(401: no such key \[key\]\): check the key",
        ),
        (Stream([ERROR], 404), "check the model's name and base_url"),
        (Stream([ERROR], 429), "ask again later"),
        (Stream([ERROR], 503), "ask again later"),
        (Stream([ERROR], 400), "it does not take such a question"),
        (Stream([b""], 302, {"location": "http://other.example/v1"}), "302: to other.example.*name the final address"),
        (Stream([delta("Yes")]), "the answer broke off"),
        (Stream([delta("Yes"), b"data: {no json\n\n"]), "no JSON object: {no json"),
        (Stream([event(error={"message": "overloaded", "code": 503})]), "503: overloaded"),
        (Stream([event(error="overloaded")]), "500: overloaded"),
        (Stream([delta("Yes", "content_filter")]), "content filter"),
        (
            Stream([b"<html>", b"log in"], headers={"content-type": "text/html"}),
            "log in.: that is a web page: base_url must be the API's address",
        ),
        (Stream([b"data: " + b"x" * (MOST_LINE_BYTES + 1), None]), "the answer has no end"),
    ],
)
def test_an_endpoint_that_fails_is_one_sentence(answer: Stream, words: str) -> None:
    async def test(speaker: RemoteSpeaker, _: Streams) -> None:
        with pytest.raises(TeacherError, match=words) as caught:
            await heard(speaker)
        assert KEY not in str(caught.value)
        assert "\n" not in str(caught.value)

    served([answer], test)


@pytest.mark.parametrize("status", [200, 400])
def test_a_body_without_end_is_not_read_to_its_end(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.remote.MOST_BODY_BYTES", 100_000)

    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        with pytest.raises(TeacherError, match="larger than 100,000 bytes"):
            await heard(speaker)
        await asyncio.wait_for(server.seen[0].left.wait(), 10)

    served([Stream([b"x" * 100_001, None], status, {"content-type": "application/json"})], test)


@pytest.mark.parametrize("status", [400, 413])
def test_a_question_that_the_endpoint_finds_too_long(status: int) -> None:
    said = {"error": {"message": "This model's maximum context length is 4096 tokens"}}

    async def test(speaker: RemoteSpeaker, _: Streams) -> None:
        with pytest.raises(AskError, match="too long for m: ask a shorter one"):
            await heard(speaker)

    served([Stream([json.dumps(said).encode()], status)], test)


def test_silence_has_an_end_and_comments_are_silence() -> None:
    async def test(speaker: RemoteSpeaker, _: Streams) -> None:
        with pytest.raises(TeacherError, match=r"no answer within 0\.3 s"):
            await heard(speaker)

    comments: list[bytes | float | None] = [b": alive\n\n", 0.05] * 40

    async def run(parts: list[bytes | float | None], check: Any) -> None:
        async with Streams([Stream(parts)]) as server:
            recipe = make_recipe("", endpoint={"model": "m", "timeout": 0.3, "base_url": server.url})
            async with open_remote(recipe) as speaker:
                await check(speaker, server)

    asyncio.run(run([None], test))
    asyncio.run(run(comments, test))

    async def slow(speaker: RemoteSpeaker, _: Streams) -> None:
        said = []
        async for one in speaker.say(ASK):  # who takes long to read what was said is not held against the endpoint
            said.append(one)
            await asyncio.sleep(0.4)
        assert said[:-1] == [Piece("a"), Piece("b")]

    asyncio.run(run([delta("a"), 0.05, delta("b"), 0.05, delta("", "stop"), DONE], slow))


def test_nobody_there() -> None:
    async def run() -> None:
        async with open_remote(make_recipe("http://127.0.0.1:9/v1")) as speaker:
            with pytest.raises(TeacherError, match=r"127\.0\.0\.1:9.*is the server running"):
                await heard(speaker)

    asyncio.run(run())


def test_a_teacher_answers_with_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)

    async def run() -> None:
        async with Streams([Stream([delta("Yes", "stop"), DONE])]) as server:
            teacher = Teacher(provider="endpoint", model="t", base_url=f"{server.url}/", key_env="SHOP_KEY")
            recipe = make_recipe(server.url).model_copy(update={"teacher": teacher})
            assert recipe.assistant is not None
            assistant = recipe.assistant.model_copy(update={"model": "teacher", "endpoint": None})
            recipe = recipe.model_copy(update={"assistant": assistant})
            async with open_speaker(recipe, RunFolder(tmp_path)) as speaker:
                assert speaker.name == "t"
                assert (await heard(speaker))[1] == "Yes"
            assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
            assert server.seen[0].body["model"] == "t"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({"base_url": "http://169.254.169.254/v1"}, "assistant.endpoint.base_url is a link-local"),
        (
            {"base_url": "https://api.example/v1", "key_env": "NO_SUCH_KEY"},
            "NO_SUCH_KEY is not set, and assistant.endp",
        ),
    ],
)
def test_what_is_looked_at_before_anything_is_sent(endpoint: dict[str, str], words: str) -> None:
    async def run() -> None:
        async with open_remote(make_recipe("", endpoint={"model": "m"} | endpoint)):
            pass

    with pytest.raises(TutelageError, match=words):
        asyncio.run(run())


def test_tokens_are_estimated_on_the_safe_side() -> None:
    async def test(speaker: RemoteSpeaker, _: Streams) -> None:
        assert speaker.count(ASK.messages) == 4 + 3 + 4 + 4
        assert speaker.count([Turn(role="user", content="日本語 \ud800")]) > 3
        assert (speaker.context, speaker.turns) == (4096, True)

    served([Stream([])], test)


def test_events() -> None:
    events = Events()
    assert events.add(b'event: x\ndata: {"a"') == []
    assert events.add(b": 1}\r\nid: 3\n: comment\ndata:2\nda") == [b'{"a": 1}', b"2"]
    assert events.add(b"ta: 3\n") == [b"3"]
    with pytest.raises(Fault, match="no end"):
        for _ in range(40):
            events.add(b"data: " + b"x" * (MOST_LINE_BYTES - 100) + b"\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"choices": []}, Delta()),
        ({"choices": None, "usage": {"prompt_tokens": 3}}, Delta(usage=Usage(3, 0, 0))),
        ({"choices": [{"delta": None, "finish_reason": "eos"}]}, Delta(end="stop")),
        ({"choices": [{"delta": {"content": [{"text": "a"}, {"text": "b"}, 3]}}]}, Delta("ab")),
        ({"choices": [{"delta": {"content": 3, "reasoning": {"a": 1}}}]}, Delta()),
        ({"choices": ["x"], "error": None}, Delta()),
        ({"choices": [{"delta": {"content": "a\ud83d"}}]}, Delta("a\ufffd")),
    ],
)
def test_what_is_not_as_it_should_be_is_nothing(data: Any, expected: Delta) -> None:
    assert read_delta(json.dumps(data).encode()) == expected


def test_a_reasoning_model_is_asked_at_its_own_temperature() -> None:
    def refused(name: str) -> Stream:
        said = f"Unsupported value: '{name}' does not support 0.5 with this model."
        return Stream([json.dumps({"error": {"message": said}}).encode()], 400, {"content-type": "application/json"})

    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        asked = Ask(ASK.messages, 64, 0.5, top_p=0.9)
        assert (await heard(speaker, asked))[1] == "Yes"
        assert set(server.seen[0].body) - set(server.seen[-1].body) == {"temperature", "top_p"}

    served([refused("temperature"), refused("top_p"), Stream([delta("Yes", "stop"), DONE])], test)


def test_where_nobody_listens_one_plain_sentence_says_so() -> None:
    async def test(speaker: RemoteSpeaker, server: Streams) -> None:
        with pytest.raises(TeacherError) as caught:
            await heard(speaker)
        assert str(caught.value) == (
            "assistant.endpoint at http://127.0.0.1:9/v1 gave no answer (cannot connect to 127.0.0.1:9: Connection "
            "refused): is the server running, and is base_url right?"
        )

    served([], test, endpoint={"base_url": "http://127.0.0.1:9/v1", "model": "m"})

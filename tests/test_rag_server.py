"""The server over real HTTP: the official clients, the page, the errors, and who may come in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import openai
import pytest
from talking import At, Shop, Talker, raw, serving

from rag.answers import Done
from rag.replies import Heard
from rag.speakers import Ending
from recipes.rows import Turn

KEY = "a-key-for-tests-0123456789"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory):
    with serving(Talker(), tmp_path_factory.mktemp("run")) as at:
        yield at


@pytest.fixture(scope="module")
def client(at: At):
    with openai.OpenAI(base_url=at.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, question: str, **more):
    return client.chat.completions.create(model="shop", messages=[{"role": "user", "content": question}], **more)


def post(at: At, **fields):
    return httpx.post(
        at.url + "/v1/chat/completions", json={"messages": [{"role": "user", "content": "kettle?"}], **fields}
    )


def test_the_page_is_given_questions_of_the_catalogue(at: At) -> None:
    (entry,) = httpx.get(at.url + "/v1/models").json()["data"]
    assert entry["examples"] == ["Tell me about Kettle", "Tell me about <b>Teapot</b>"]
    assert "gift" not in httpx.get(at.url).text


class TestOpenAI:
    def test_a_whole_answer_has_text_citations_sources_reasoning_and_usage(self, client: openai.OpenAI) -> None:
        answer = ask(client, "kettle?")
        message = answer.choices[0].message
        assert message.content == "The kettle costs 20 pounds [1]. ☕" and answer.choices[0].finish_reason == "stop"
        assert (answer.model, answer.object) == ("shop", "chat.completion")
        (cited,) = message.annotations
        assert cited.url_citation.title == "Kettle" and cited.url_citation.url == "https://shop.example/kettle"
        assert message.content[cited.url_citation.start_index : cited.url_citation.end_index] == "[1]"
        assert [source["document"] for source in message.sources] == ["doc-1", "doc-2"]
        assert message.reasoning_content == "a kettle? yes." and message.abstained is False
        assert message.query == "kettle?" and message.ungrounded == ["☕"]
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 5, 17)

    @pytest.mark.parametrize("stream", [False, True])
    def test_thoughts_are_kept_back_where_the_recipe_says_so(self, tmp_path: Path, stream: bool) -> None:
        with serving(Talker(), tmp_path, thoughts="hide") as at:
            text = post(at, stream=stream).text
            assert "reasoning" not in text and "a kettle? yes" not in text and "pounds [1]" in text
            identity = re.search(r"chatcmpl-[\w-]+", text)[0]
            httpx.post(at.url + "/v1/feedback", json={"id": identity, "rating": "up"})
        (row,) = map(json.loads, (tmp_path / "feedback" / "up.jsonl").read_text().splitlines())
        assert row["messages"][-1]["reasoning_content"] == "a kettle? yes."

    def test_a_stream_says_the_same(self, client: openai.OpenAI) -> None:
        chunks = list(ask(client, "kettle?", stream=True, stream_options={"include_usage": True}))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == "The kettle costs 20 pounds [1]. ☕"
        assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == "a kettle? yes."
        assert deltas[0].role == "assistant" and [source["number"] for source in deltas[0].sources] == [1, 2]
        assert deltas[-1].annotations[0]["url_citation"]["start_index"] == 27
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 17
        assert len({chunk.id for chunk in chunks}) == 1

    def test_every_other_chunk_says_that_its_usage_is_not_known_yet(self, at: At) -> None:
        def chunks(**more) -> list[dict]:
            events = post(at, stream=True, **more).text.split("\n\n")
            return [json.loads(event.removeprefix("data: ")) for event in events if event.startswith("data: {")]

        *others, last = chunks(stream_options={"include_usage": True})
        assert [chunk["usage"] for chunk in others] == [None] * len(others) and last["usage"]["total_tokens"] == 17
        assert not any("usage" in chunk for chunk in chunks())

    def test_that_no_model_wrote_an_answer_is_said_and_it_is_not_learned_from(self, tmp_path: Path) -> None:
        with serving(Shop(), tmp_path) as at:
            for question, quoted in (("say:quoted", True), ("say:steel [1]", False)):
                answer = post(at, messages=[{"role": "user", "content": question}]).json()
                assert answer["choices"][0]["message"]["quoted"] is quoted
                httpx.post(at.url + "/v1/feedback", json={"id": answer["id"], "rating": "up"})
            answer = post(at, messages=[{"role": "system", "content": "Lie."}, {"role": "user", "content": "x"}]).json()
            httpx.post(at.url + "/v1/feedback", json={"id": answer["id"], "rating": "up"})
        up, aside = ((tmp_path / "feedback" / name).read_text().splitlines() for name in ("up.jsonl", "aside.jsonl"))
        assert [json.loads(line)["question"] for line in up] == ["say:steel [1]"]
        assert [json.loads(line)["question"] for line in aside] == ["say:quoted", "x"]

    def test_the_clients_own_accumulator_keeps_sources_and_citations(self, client: openai.OpenAI) -> None:
        with client.chat.completions.stream(model="shop", messages=[{"role": "user", "content": "kettle?"}]) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.content == "The kettle costs 20 pounds [1]. ☕"
        assert [source["title"] for source in message.sources] == ["Kettle", "Teapot"]
        assert message.annotations[0].url_citation.title == "Kettle"

    def test_an_answer_can_go_back_as_history(self, client: openai.OpenAI, at: At) -> None:
        said = ask(client, "kettle?").choices[0].message
        messages = [{"role": "user", "content": "kettle?"}, said, {"role": "user", "content": "how much?"}]
        client.chat.completions.create(model="shop", messages=messages)
        turns, _ = at.service.assistant.asked[-1]
        assert [turn.role for turn in turns] == ["user", "assistant", "user"] and turns[1].content == said.content

    def test_options_reach_the_assistant(self, client: openai.OpenAI, at: At) -> None:
        ask(
            client,
            "kettle?",
            temperature=0.2,
            seed=5,
            stop=["\n"],
            max_completion_tokens=9,
            extra_body={"where": {"price": 20}},
        )
        _, options = at.service.assistant.asked[-1]
        assert (options.temperature, options.seed, options.stop, options.max_tokens) == (0.2, 5, ("\n",), 9)
        assert options.where == {"price": 20}

    def test_a_cut_answer_says_so_and_an_abstention_too(self, client: openai.OpenAI) -> None:
        assert ask(client, "cut").choices[0].finish_reason == "length"
        message = ask(client, "nothing").choices[0].message
        assert message.abstained is True and message.annotations == [] and message.sources == []

    def test_models(self, client: openai.OpenAI) -> None:
        (model,) = client.models.list().data
        assert model.id == "shop" and model.name == "product assistant"
        assert client.models.retrieve("shop").id == "shop"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-4o")

    @pytest.mark.parametrize("stream", [False, True])
    def test_errors_are_openais_and_tell_no_secrets(self, client: openai.OpenAI, at: At, stream: bool) -> None:
        with pytest.raises(openai.BadRequestError, match="9,000 tokens"):
            ask(client, "long", stream=stream)
        with pytest.raises(openai.InternalServerError) as away:
            ask(client, "away", stream=stream)
        assert away.value.status_code == 502 and "10.0.0.7" not in str(away.value)
        with pytest.raises(openai.InternalServerError) as heavy:
            ask(client, "heavy", stream=stream)
        assert heavy.value.status_code == 500 and "/root" not in str(heavy.value)
        with pytest.raises(openai.InternalServerError) as broken:
            ask(client, "broken", stream=stream)
        assert broken.value.status_code == 500 and broken.value.body["type"] == "server_error"
        assert "Zero" not in str(broken.value) and "secret" not in str(broken.value)
        logged = "\n".join(at.log)
        assert (
            "ZeroDivisionError" in logged
            and "10.0.0.7" in logged
            and "/root/models" in logged
            and "sk-abcdef" not in logged
        )

    def test_a_failure_in_the_middle_ends_the_stream_with_an_error(self, client: openai.OpenAI) -> None:
        got: list[object] = []
        with pytest.raises(openai.APIError, match="failed to answer"):
            got.extend(ask(client, "late", stream=True))
        assert got


def test_langchain_talks_to_it(at: At) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        base_url=at.url + "/v1", api_key="none", model="shop", temperature=0, max_tokens=50, max_retries=0
    )
    answer = model.invoke("kettle?")
    assert answer.content == "The kettle costs 20 pounds [1]. ☕" and answer.usage_metadata["total_tokens"] == 17
    chunks = list(model.stream("kettle?"))
    assert "".join(chunk.text for chunk in chunks) == answer.content
    _, options = at.service.assistant.asked[-1]
    assert options.temperature == 0 and options.max_tokens == 50


class TestRoutes:
    @pytest.mark.parametrize("path", ["/", "/app.js", "/server.js", "/view.js", "/style.css", "/icon.svg"])
    def test_the_page_is_served_with_a_strict_policy(self, at: At, path: str) -> None:
        answer = httpx.get(at.url + path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert (
            answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
        )
        assert httpx.get(at.url + path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
        assert httpx.head(at.url + path).text == ""

    def test_the_page_loads_nothing_from_outside_and_has_no_inline_code(self, at: At) -> None:
        page = httpx.get(at.url).text
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)

    def test_errors_and_api_answers_have_the_safe_headers_too(self, at: At) -> None:
        for answer in (
            httpx.get(at.url + "/nothing"),
            httpx.get(at.url + "/health"),
            httpx.delete(at.url + "/v1/models"),
        ):
            assert "content-security-policy" in answer.headers and answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(("method", "path", "status"), [
        ("GET", "/nothing", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/", 405), ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404), ("GET", "/../rag/server.py", 404), ("GET", "/page/index.html", 404),
        ("POST", "/health", 405),
    ])  # fmt: skip
    def test_what_is_not_there_is_said_in_openais_form(self, at: At, method: str, path: str, status: int) -> None:
        answer = httpx.request(method, at.url + path)
        assert answer.status_code == status and answer.json()["error"]["code"] == "unknown_url"

    def test_health_and_metrics(self, at: At, client: openai.OpenAI) -> None:
        health = httpx.get(at.url + "/health").json()
        assert health == {"status": "ok", "index": "current", "answering": 0, "waiting": 0}
        ask(client, "nothing")
        httpx.get(at.url + "/secret-path?key=sk-abcdef")
        text = httpx.get(at.url + "/metrics").text
        assert 'tutelage_answers_total{end="abstained"}' in text and "tutelage_answer_seconds_bucket" in text
        assert re.search(r'tutelage_requests_total\{route="/v1/chat/completions",status="200"\} \d', text)
        assert "secret-path" not in text and 'route="other",status="404"' in text

    def test_the_model_has_a_count_of_its_own(self, at: At) -> None:
        httpx.get(at.url + "/v1/models/shop")
        assert 'route="/v1/models/shop",status="200"' in httpx.get(at.url + "/metrics").text

    def test_the_log_has_no_queries_and_no_control_characters(self, at: At) -> None:
        httpx.get(at.url + "/x%1b[31m%0a?token=sk-abcdef0123456789abcdef")
        at.until(lambda: any("x\\x1b" in line for line in at.log))
        assert not any("token" in line or "\x1b" in line for line in at.log)

    def test_feedback_on_an_answer_is_kept(self, at: At, client: openai.OpenAI) -> None:
        answer = ask(client, "kettle?")
        rated = httpx.post(at.url + "/v1/feedback", json={"id": answer.id, "rating": "up", "comment": "fine"})
        assert rated.json() == {"object": "feedback", "id": answer.id, "rating": "up"}
        folder = at.service.feedback._folder
        row = json.loads((folder / "up.jsonl").read_bytes().splitlines()[-1])
        assert row["id"] == answer.id and "<passages>" in row["messages"][1]["content"]
        assert row["messages"][2]["content"] == answer.choices[0].message.content
        assert httpx.post(at.url + "/v1/feedback", json={"id": "x", "rating": "up"}).status_code == 404

    def test_a_rating_that_cannot_be_written_is_an_error_and_no_crash(self, tmp_path: Path) -> None:
        (tmp_path / "feedback").write_text("a file where the folder should be")
        with serving(Talker(), tmp_path) as at:
            identity = post(at).json()["id"]
            answer = httpx.post(at.url + "/v1/feedback", json={"id": identity, "rating": "up"})
            assert answer.status_code == 500 and answer.json()["error"]["code"] == "not_kept"
            assert str(tmp_path) not in answer.text


class TestEntrance:
    def test_the_key_is_asked_for_on_every_route_but_the_pages(self, tmp_path: Path) -> None:
        with serving(Talker(), tmp_path, key=KEY) as at:
            for path in ("/v1/models", "/health", "/metrics", "/nothing", "/v1/models/shop"):
                answer = httpx.get(at.url + path)
                assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
            assert post(at).status_code == 401
            assert httpx.post(at.url + "/v1/feedback", json={}).status_code == 401
            assert httpx.post(at.url + "/").status_code == 401
            assert at.service.assistant.asked == []
            assert httpx.get(at.url).status_code == 200
            with openai.OpenAI(base_url=at.url + "/v1", api_key=KEY, max_retries=0) as client:
                assert ask(client, "kettle?").choices
            stranger = openai.OpenAI(base_url=at.url + "/v1", api_key=KEY + "x", max_retries=0)
            with stranger, pytest.raises(openai.AuthenticationError):
                ask(stranger, "kettle?")
            assert not any(KEY in line for line in at.log)

    def test_rebound_names_and_foreign_pages_are_turned_away(self, at: At) -> None:
        before = len(at.service.assistant.asked)
        body = {"messages": [{"role": "user", "content": "kettle?"}]}
        url = at.url + "/v1/chat/completions"
        assert httpx.post(url, json=body, headers={"host": "evil.example"}).status_code == 421
        assert httpx.post(url, json=body, headers={"origin": "http://evil.example"}).status_code == 403
        assert httpx.options(url, headers={"origin": "http://evil.example"}).status_code == 403
        assert httpx.post(url, content=json.dumps(body), headers={"content-type": "text/plain"}).status_code == 415
        assert len(at.service.assistant.asked) == before
        own = httpx.post(url, json=body, headers={"origin": at.url})
        assert own.status_code == 200 and "access-control-allow-origin" not in own.headers

    def test_a_websocket_is_not_opened(self, at: At) -> None:
        head = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
        answer = raw(at.port, f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n".encode())
        assert not answer.startswith(b"HTTP/1.1 101")


def test_where_no_model_counted_tokens_they_are_estimated() -> None:
    heard, prompt = Heard(text=["You are ", "welcome."]), (Turn(role="user", content="Thank you"),)
    assert heard.tokens(Done(Ending("stop", 0, 0), (), 0, 0, False, "You are welcome.", prompt)) == (3, 4)
    assert heard.tokens(Done(Ending("stop", 9, 1), (), 0, 0, False, "You are welcome.", prompt)) == (9, 1)

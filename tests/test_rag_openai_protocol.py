"""Bodies in and out: what is read, what is refused and in which words, and what an answer carries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from talking import PASSAGES

from rag.openai_errors import ApiError
from rag.openai_protocol import Completion, sources, url_citations, usage, web_link
from rag.openai_request import ChatQuestion, read_question

HELLO = [{"role": "user", "content": "hello"}]


def read(**fields: Any) -> ChatQuestion:
    return read_question(json.dumps({"messages": HELLO, **fields}).encode(), "shop", 100)


def refused(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(**fields)
    return caught.value


def test_openais_fields_are_read() -> None:
    question = read(
        model="shop", stream=True, stream_options={"include_usage": True}, max_completion_tokens=7, temperature=0,
        top_p=0.5, seed=3, stop=["a", "b"], n=1, user="me", tools=None, response_format={"type": "text"},
    )  # fmt: skip
    assert question.stream and question.usage
    options = question.options
    assert (options.max_tokens, options.temperature, options.top_p, options.seed) == (7, 0.0, 0.5, 3)
    assert options.stop == ("a", "b")
    assert read(max_tokens=8).options.max_tokens == 8
    assert read(stop="x").options.stop == ("x",)


def test_what_is_not_given_is_left_to_the_recipe() -> None:
    options = read().options
    assert (options.max_tokens, options.temperature, options.top_p, options.seed, options.where) == (None,) * 5
    assert options.stop == () and options.top_k is None
    assert read(temperature=None, max_tokens=None, stop=None, where={}).options == options


def test_our_own_fields_choose_documents() -> None:
    options = read(where={"brand": "Acme"}, passages=2).options
    assert options.where == {"brand": "Acme"} and options.top_k == 2


def test_any_seed_of_openais_is_one_of_ours_and_top_p_0_is_greedy() -> None:
    assert read(seed=-1).options.seed == 2**32 - 1
    greedy = read(top_p=0, temperature=1).options
    assert greedy.temperature == 0 and greedy.top_p is None


def test_roles_and_parts_become_turns() -> None:
    question = read(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "me"},
            {"role": "assistant", "content": None, "refusal": "no", "tool_calls": None, "sources": [{}]},
            {"role": "user", "content": "c"},
        ]
    )
    assert [(turn.role, turn.content) for turn in question.messages] == [
        ("system", "be brief"), ("user", "a\nb"), ("assistant", ""), ("user", "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("n", 2, "n is not supported"),
        ("tools", [{"type": "function"}], "tools is not supported"),
        ("response_format", {"type": "json_object"}, "response_format is not supported"),
        ("logprobs", True, "logprobs is not supported"),
        ("max_token", 5, "did you mean max_tokens?"),
        ("stream", "yes", "true or false"),
        ("stream_options", {"include_usage": True}, "stream: true"),
        ("max_tokens", 101, "from 1 to 100"),
        ("max_tokens", 0, "from 1 to 100"),
        ("max_tokens", True, "whole number"),
        ("max_tokens", 1.5, "whole number"),
        ("temperature", 2.1, "from 0 to 2"),
        ("temperature", "hot", "number"),
        ("top_p", -0.1, "from 0 to 1"),
        ("seed", 2**63, "whole number"),
        ("stop", ["a"] * 5, "up to 4"),
        ("stop", [""], "none empty"),
        ("stop", 7, "string"),
        ("where", "brand", "object"),
        ("passages", 0, "from 1 to 50"),
        ("messages", [], "at least one"),
        ("messages", "hi", "list"),
        ("messages", HELLO * 201, "at most 200"),
        ("messages", ["hi"], "messages[0] must be an object"),
        ("messages", [{"role": "tool", "content": "x"}], "messages[0].role is 'tool'"),
        ("messages", [{"content": "x"}], "messages[0].role is missing"),
        ("messages", [{"role": "user"}], "messages[0].content must be a string"),
        ("messages", [{"role": "user", "content": [{"type": "image_url"}]}], "only text"),
        ("messages", [{"role": "user", "content": "  "}], "not empty"),
        ("messages", [*HELLO, {"role": "assistant", "content": "x"}], "the user's"),
        ("messages", [{"role": "assistant", "tool_calls": [{}]}, *HELLO], "calls a tool"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(field: str, value: Any, says: str) -> None:
    error = refused(**{field: value})
    assert error.status == 400 and says in str(error)
    assert error.param is not None and error.param.startswith(field.split("[")[0])


def test_both_names_of_a_limit_at_once_are_refused() -> None:
    assert "not both" in str(refused(max_tokens=1, max_completion_tokens=1))


def test_another_model_is_not_found() -> None:
    error = refused(model="gpt-4o")
    assert (error.status, error.code) == (404, "model_not_found") and "shop" in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'"\\ud800"', b"[" * 5000, b"NaN", b"1e999", b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read_question(body, "shop", 100)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


NAMES = st.sampled_from(
    [
        "messages",
        "model",
        "stream",
        "stop",
        "max_tokens",
        "seed",
        "temperature",
        "top_p",
        "where",
        "passages",
        "n",
        "tools",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=4))
@example({"messages": [{"role": ["user"], "content": {}}]})
def test_no_body_is_more_than_a_question_or_a_4xx(fields: dict[str, Any]) -> None:
    try:
        question = read_question(json.dumps({"messages": HELLO, **fields}).encode(), "shop", 100)
    except ApiError as error:
        assert 400 <= error.status < 500 and len(str(error)) < 500
        json.loads(error.body())
    else:
        assert question.messages[-1].role == "user"


def test_citations_point_at_their_place_and_their_document() -> None:
    text = "☕ The kettle [1] and the pot [2], not [3]."
    found = url_citations(text, [1, 2], PASSAGES)
    assert [text[entry["start_index"] : entry["end_index"]] for entry in (e["url_citation"] for e in found)] == [
        "[1]",
        "[2]",
    ]
    assert [entry["url_citation"]["url"] for entry in found] == [
        "https://shop.example/kettle", "urn:tutelage:document:doc-2",
    ]  # fmt: skip
    assert url_citations(text, [2], PASSAGES)[0]["url_citation"]["title"] == "Teapot"


def test_an_index_in_code_is_no_citation() -> None:
    text = "Take `a[1]`, not `b`: it is in [2]\n```\nx[0][1]\n```\nand boils [1]."
    found = [one["url_citation"] for one in url_citations(text, [1, 2], PASSAGES)]
    assert [(one["number"], text[one["start_index"] :][:4]) for one in found] == [(2, "[2]\n"), (1, "[1].")]


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//evil", "http://", "ht tp://x", "http://x\n", "http://["]
)
def test_a_link_that_is_no_web_address_is_not_handed_out(link: str) -> None:
    assert web_link(link) is None


def test_sources_are_plain_json() -> None:
    first = json.loads(json.dumps(sources(PASSAGES)))[0]
    assert first == {
        "number": 1, "title": "Kettle", "document": "doc-1", "link": "https://shop.example/kettle",
        "text": "A kettle of steel, 20 pounds.", "metadata": {"price": 20}, "written": {}, "score": 1.0,
    }  # fmt: skip


def test_ids_differ_and_usage_adds_up() -> None:
    assert Completion("m", 0).id != Completion("m", 0).id
    assert usage(3, 4) == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

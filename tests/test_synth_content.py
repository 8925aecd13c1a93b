"""Fields and conversations: cleaning of product texts and of chats, and what makes a row unfit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.rows import Turn
from synth.cleaning import clean_blocks, clean_layout, clean_markup
from synth.content import Content, Unfit, decode
from synth.conversations import read_conversation


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<b>Bold</b> &amp; <i>fine</i>", "Bold & fine"),
        ("one<br/>two<BR>three<br />four", "one two three four"),
        ("<ul><li>3&nbsp;m cable</li><li>Café-Größe</li></ul>", "3 m cable Café-Größe"),
        ("<p class=\"x\" id='y' data-a=1>Hi</p>there", "Hi there"),
        ("5<sup>th</sup> <FONT COLOR=red>edition</FONT>", "5th edition"),
        ("&lt;b&gt;twice&lt;/b&gt; &amp;lt;i&amp;gt;encoded", "twice encoded"),
        ("a < b and b > c, <3, a<b and c>d, x <y> z", "a < b and b > c, <3, a<b and c>d, x <y> z"),
        ("#include <stdio.h> <your name>", "#include <stdio.h> <your name>"),
        ("A<!-- hidden --> <script type='x'>alert('<b>')</script>B<style>p {}</style>C", "A B C"),
        ("<td nowrap>a</td><td>b</td>", "a b"),
        ("“Señor” – £5.99; 50% off!\r\n\r\n\tNew…", "“Señor” – £5.99; 50% off! New…"),
        ("cafe\u0301 \ud83d\ude00 \x00\x07", "café 😀"),
        ("<a href='x'>link", "link"),
        ("unclosed <b", "unclosed <b"),
    ],
)
def test_markup_goes_and_words_stay(raw, clean):
    assert clean_markup(raw) == clean


@given(st.text(st.characters(exclude_characters="<>&")))
def test_without_markup_only_white_space_changes(text):
    clean = clean_markup(text)
    assert clean_markup(clean) == clean
    assert clean == clean_markup(f"<div>{text}</div>")


def test_cleaning_markup_is_linear():
    for part in ("<!--", "<script>", "<b ", "<b a=", "<a href='", "&lt;", "<", "<b a=1 b=2 "):
        clean_markup(part * (200_000 // len(part)))
    assert clean_markup("a <br" + " " * 100_000 + "b") == "a <br b"
    assert clean_markup("a<br" + " " * 100_000 + "/ >b") == "a b"


def test_layout_keeps_lines_and_code():
    text = "Run:\r\n\r\n```\r\nif a &lt; b:\r\n    x()\x07\r\n```\n\n"
    assert clean_layout(text) == "Run:\n\n```\nif a &lt; b:\n    x()\n```"


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


def test_the_last_answer_is_the_response_and_what_was_before_is_history():
    before = [("system", "Be kind."), ("user", " a "), ("assistant", "b")]
    said = read_conversation(chat(*before, ("user", "c\nd"), ("assistant", "e"), ("user", "f")))
    assert said.fields == {"question": "c\nd", "response": "e"}
    assert said.left_out == 1
    assert said.history == (
        Turn(role="system", content="Be kind."),
        Turn(role="user", content="a"),
        Turn(role="assistant", content="b"),
    )
    assert said.text == "a\nb\nc\nd"  # without the system message: it may be the same in every row
    assert said.whole == "Be kind.\na\nb\nc\nd\ne"
    assert decode(said.encode()) == said


def test_sharegpt_parts_and_json_in_a_cell_are_read():
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    assert read_conversation(turns).fields == {"question": "a", "response": "b"}
    assert read_conversation(json.dumps(turns)).fields == {"question": "a", "response": "b"}
    parts = [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}, turns[1]]
    assert read_conversation(parts).fields["question"] == "x\ny"


def test_reasoning_is_taken_out_of_the_answers():
    turns = chat(
        ("user", "a"), ("assistant", "<think>t</think>b"), ("user", "c"), ("assistant", "<think>\nwhy\n</think>\n\nd")
    )
    said = read_conversation(turns)
    assert said.fields == {"question": "c", "response": "d", "reasoning": "why"}
    assert said.history[1].content == "b"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "why"}]
    assert read_conversation(turns).fields == {"question": "a", "response": "b", "reasoning": "why"}
    for key in ("reasoning", "thinking"):
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", key: "why"}]
        assert read_conversation(turns).fields == {"question": "a", "response": "b", "reasoning": "why"}
    alone = read_conversation(chat(("user", "a"), ("assistant", "why\n</think>\n\nb")))
    assert alone.fields == {"question": "a", "response": "b", "reasoning": "why"}
    for quoted in ("R1 writes `</think>` last", "a</think>b</think>c"):
        assert read_conversation(chat(("user", "a"), ("assistant", quoted))).fields["response"] == quoted
    assert read_conversation(chat(("user", "a"), ("assistant", "say <think> x </think>"))).fields["response"] == (
        "say <think> x </think>"
    )


BAD = [
    (None, "bad_messages", "there is no list of turns"),
    ([], "bad_messages", "the list of turns is empty"),
    ("hello", "bad_messages", "the cell is text"),
    (["a"], "bad_messages", "turn 1 is no object"),
    ([{"role": "user", "content": 5}], "bad_messages", "the content of turn 1 is not text"),
    ([{"role": "tool", "content": "x"}], "bad_roles", "turn 1 is by 'tool'"),
    (chat(("user", "a")), "no_response", "no turn is the assistant's"),
    (chat(("assistant", "a")), "bad_roles", "turn 1 is the assistant's where the user's should be"),
    (chat(("system", "s"), ("assistant", "a")), "bad_roles", "turn 2 is the assistant's"),
    (chat(("user", "a"), ("user", "b"), ("assistant", "c")), "bad_roles", "turn 2 is the user's"),
    (chat(("user", "a"), ("system", "b"), ("assistant", "c")), "bad_roles", "turn 2 is the system's"),
    (chat(("user", "a"), ("assistant", " ")), "empty_response", "the response is empty"),
    (chat(("user", "a"), ("assistant", "<think>x</think>")), "empty_response", "the response is empty"),
    (chat(("user", ""), ("assistant", "b")), "empty_question", "the question is empty"),
    (chat(("user", ""), ("assistant", "b"), ("user", "c"), ("assistant", "d")), "empty_turn", "turn 1 is empty"),
]


@pytest.mark.parametrize(
    ("value", "reason", "detail"), BAD, ids=[f"{n}-{reason}" for n, (_, reason, _) in enumerate(BAD)]
)
def test_what_is_no_conversation_says_why(value, reason, detail):
    with pytest.raises(Unfit) as caught:
        read_conversation(value)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(detail)


_LEAF = st.none() | st.text(max_size=5) | st.integers() | st.sampled_from(["user", "gpt"])
_KEYS = st.sampled_from(["role", "content", "from", "value"])


@given(st.recursive(_LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner)))
def test_any_value_is_a_conversation_or_unfit(value):
    try:
        said = read_conversation(value)
    except Unfit as unfit:
        assert unfit.reason
    else:
        assert said.fields["question"]
        assert said.fields["response"]


def test_products_are_told_apart_by_all_their_fields():
    assert Content({"title": "a", "description": "b"}).text == "a\nb"
    assert Content({"question": "a", "response": "b", "topic": "c"}).text == "a"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<ul><li>Holds 2 l</li><li>Red</li></ul>", "Holds 2 l\nRed"),
        ("One<br/>two <b>bold</b><p>three</p>", "One\ntwo bold\nthree"),
        ("<table><tr><td>Width</td><td>9 cm</td></tr><tr><td>Colour</td><td>red</td></tr></table>",
         "Width 9 cm\nColour red"),
        ("A line\nthat wraps\n\nNext\n- one\n- two", "A line that wraps\nNext\n- one\n- two"),
        ("Has: • a lid • a lamp, -5 °C", "Has:\n• a lid\n• a lamp, -5 °C"),
        ("<!-- <li>x</li> -->a &lt;br&gt; b &amp; c", "a\nb & c"),
        (" \n ", ""),
    ],
)  # fmt: skip
def test_blocks_are_lines(raw, clean):
    assert clean_blocks(raw) == clean
    assert " ".join(clean_blocks(raw).split()) == clean_markup(raw)

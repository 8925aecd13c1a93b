"""Replies to answers: golden cases, properties on hostile text, probabilities from logprobs."""

from __future__ import annotations

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.answers import parse_answer
from recipes.chat import Reply, TokenLogprobs
from recipes.logprobs import label_probabilities
from recipes.prompts import AnswerFormat

LABELS = ("negative", "neutral", "positive")
JSON = AnswerFormat(kind="json", label="label", rationale="reason")
BARE = AnswerFormat(kind="json", label="label", rationale=None)
WORD = AnswerFormat(kind="word", label="label", rationale=None)

GOOD = [
    ('{"reason": "x", "label": "positive"}', "clean"),
    (' {"label":"positive","reason":"x","score":3}\n', "clean"),
    ('<think>{"label": "negative"} maybe?</think>\n{"reason":"x","label":"positive"}', "clean"),
    ('{"reason": "x", "label": " Positive "}', "repaired"),
    ('{"Reason": "x", "LABEL": "positive"}', "repaired"),
    ('```json\n{"reason": "x", "label": "positive"}\n```', "repaired"),
    ('Sure! {"reason": "x", "label": "positive"} Hope it helps.', "repaired"),
    ('{"reason": "x", "label": "positive",}', "repaired"),
    ("{'reason': 'x', 'label': 'positive'}", "repaired"),
    ('{reason: "x", label: positive}', "repaired"),
    ('{"reason": "x" "label": "positive"}', "repaired"),
    ("{“reason”: “x”, “label”: “positive”}", "repaired"),
    ('{"reason": "x", "label": "positive"', "repaired"),
    ('{"reason": "x", "label": "positive"}}', "repaired"),
    ('{"reason": "x", "label": "positive"}\n{"reason": "x", "label": "positive"}', "repaired"),
    ('{} {"reason": "x", "label": "positive"}', "repaired"),
]


@pytest.mark.parametrize(("text", "outcome"), GOOD)
def test_good_json(text, outcome):
    answer = parse_answer(Reply(text), JSON, LABELS)
    assert (answer.value, answer.rationale, answer.outcome, answer.problem) == ("positive", "x", outcome, "")


BAD = [
    ('{"label": "not positive"}', "got 'not positive'"),
    ('{"label": not positive}', "got 'not positive'"),
    ('{"label": "mixed"}', "got 'mixed'"),
    ('{"label": "positive" or "negative"}', "must be one of"),
    ('{"label": "positive", "negative"}', "not clear"),
    ('{"label": "positive" // but sarcastic\n}', "not clear"),
    ('{"label": "positive", "label": "negative"}', "twice"),
    ('{"label": "positive"} or {"label": "negative"}', "several JSON objects"),
    ("{'label': 'positive'} or {'label': 'negative'}", "several JSON objects"),
    ('{"label": "mixed"} or {"label": "negative"}', "got 'mixed'"),
    ('{"label": ["positive"]}', "a list"),
    ('{"label": null}', "null"),
    ('{"label": true}', "got 'True'"),
    ('{"sentiment": "positive"}', 'no key "label"'),
    ('["positive"]', "a list"),
    ('"positive"', "got text"),
    ("positive", "no JSON object"),
    ("The sentiment of this tweet is positive.", "no JSON object"),
    ('{"label": "pos', "breaks off"),
    ('{"reason": "it is fine", "lab', "breaks off"),
    ("", "empty"),
    ("{" * 5_000, "nested"),
    ("x" * 1_000_000, "1000000 characters"),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_bad_json_is_malformed_and_never_guessed(text, problem):
    answer = parse_answer(Reply(text), BARE, LABELS)
    assert (answer.value, answer.outcome) == (None, "malformed")
    assert problem in answer.problem
    assert len(answer.problem) < 300


def test_a_missing_or_strange_rationale_is_malformed():
    assert parse_answer(Reply('{"label": "positive"}'), JSON, LABELS).problem == 'the JSON object has no key "reason"'
    assert "a list" in parse_answer(Reply('{"label": "positive", "reason": []}'), JSON, LABELS).problem


def test_unknown_labels_are_told_apart_from_other_malformed_replies():
    assert parse_answer(Reply('{"label": "mixed"}'), BARE, LABELS).unknown == "mixed"
    assert parse_answer(Reply('{"label": []}'), BARE, LABELS).unknown is None


@pytest.mark.parametrize("text", ['{"reason": "so far so g', '{"label": "positive", "reason": "so far', "posi", ""])
def test_unfinished_replies_are_truncated(text):
    assert parse_answer(Reply(text, finish_reason="length"), JSON, LABELS).outcome == "truncated"


def test_a_finished_answer_counts_even_at_the_length_limit():
    reply = Reply('{"reason": "x", "label": "neutral"} And now I go on', finish_reason="length")
    assert parse_answer(reply, JSON, LABELS).value == "neutral"
    assert parse_answer(Reply("neutral", finish_reason="length"), WORD, LABELS).value == "neutral"
    assert parse_answer(Reply("very", finish_reason="length"), WORD, ("very", "very much")).outcome == "truncated"


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot classify this text.",
    "As an AI, I have no feelings.",
    "Sorry, I am not able to provide a label for this content.",
    "I won’t answer that.",
]


@pytest.mark.parametrize("text", REFUSALS)
@pytest.mark.parametrize("form", [JSON, WORD])
def test_refusals(text, form):
    assert parse_answer(Reply(text), form, LABELS).outcome == "refused"


def test_refusals_by_field_and_filter():
    good = '{"reason": "x", "label": "neutral"}'
    assert parse_answer(Reply("", refusal="no"), JSON, LABELS).outcome == "refused"
    assert parse_answer(Reply(good, finish_reason="content_filter"), JSON, LABELS).outcome == "refused"
    talk = Reply('I cannot help but smile: {"reason": "I cannot help it", "label": "neutral"}')
    assert parse_answer(talk, JSON, LABELS).value == "neutral"


WORDS = [
    ("positive", "positive", "clean"),
    ("Positive.", "positive", "repaired"),
    (" **positive**\n", "positive", "repaired"),
    ("label: positive", "positive", "repaired"),
    ("**Sentiment:** `Positive`", "positive", "repaired"),
    ("<think>negative?</think>positive", "positive", "clean"),
    ("not positive", None, "malformed"),
    ("positive or negative", None, "malformed"),
    ("The sentiment is not positive", None, "malformed"),
    ("The tweet is positive because the writer likes the cake a lot", None, "malformed"),
    ("", None, "malformed"),
    ("positive" + "\n" * 500 + "negative", None, "malformed"),
]


@pytest.mark.parametrize(("text", "value", "outcome"), WORDS)
def test_words(text, value, outcome):
    answer = parse_answer(Reply(text), WORD, LABELS)
    assert (answer.value, answer.outcome) == (value, outcome)


def test_numbers_can_be_labels():
    assert parse_answer(Reply('{"label": 1}'), BARE, ("0", "1")).value == "1"


@given(st.text(max_size=300), st.sampled_from(LABELS), st.sampled_from(["{}", "```json\n{}\n```", "Here: {}\nBye."]))
def test_whatever_the_reason_the_label_is_read(reason, label, around):
    text = around.replace("{}", json.dumps({"reason": reason, "label": label}))
    answer = parse_answer(Reply(text), JSON, LABELS)
    assert (answer.value, answer.rationale) == (label, reason)


_ALPHABET = st.sampled_from(
    ["{", "}", '"', "'", ":", ",", "label", "positive", "not ", "neutral", " ", "\\", "\n", "["]
)


@given(st.lists(_ALPHABET, max_size=40).map("".join), st.sampled_from([JSON, BARE, WORD]))
def test_any_reply_is_usable_or_says_why(text, form):
    answer = parse_answer(Reply(text), form, LABELS)
    assert (answer.value in LABELS) == (answer.outcome in ("clean", "repaired")) == (answer.problem == "")


def test_long_white_space_is_as_good_as_a_space():
    gap = " \n" * 4_500
    assert parse_answer(Reply("{'label':" + gap + "'positive'" + gap + "}"), BARE, LABELS).value == "positive"
    assert parse_answer(Reply("{'label':" + gap + "'positive' x}"), BARE, LABELS).outcome == "malformed"


@pytest.mark.parametrize("size", [18_000, 1_000_000])
@pytest.mark.parametrize(
    "part", ["{", "[", '{"label":', '"', "\\", "{'a", "/*", "{}", '{"label":1}', "“", "I'm ", "```json "]
)
def test_hostile_replies_end_with_bounded_work(size, part):
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        answer = parse_answer(Reply('{"label": ' + part * (size // len(part))), JSON, LABELS)
    finally:
        sys.setprofile(None)
    assert answer.outcome == "malformed"
    assert calls < 2_000_000


def _token(text, **top):
    return TokenLogprobs(text, tuple((word.replace("_", " "), math.log(share)) for word, share in top.items()))


def test_probabilities_of_a_word():
    reply = Reply("positive", logprobs=(_token("positive", positive=0.6, negative=0.3, Neutral=0.05, maybe=0.05),))
    assert label_probabilities(reply, WORD, LABELS) == pytest.approx((0.3 / 0.95, 0.05 / 0.95, 0.6 / 0.95))


def test_probabilities_inside_json_at_the_last_label():
    plain = [TokenLogprobs(text, ((text, 0.0),)) for text in ('{"reason": "label', '", "', "label", '":', ' "')]
    tokens = (*plain, _token("neg", neg=0.7, pos=0.2, neu=0.1), TokenLogprobs('ative"}', (('ative"}', 0.0),)))
    assert label_probabilities(Reply("", logprobs=tokens), JSON, LABELS) == pytest.approx((0.7, 0.1, 0.2))


def test_an_undecided_token_is_followed():
    tokens = (_token("ne", ne=0.8, positive=0.2), _token("utral", utral=0.75, gative=0.25))
    assert label_probabilities(Reply("", logprobs=tokens), WORD, LABELS) == pytest.approx((0.2, 0.6, 0.2))
    only = (_token("positive", positive=0.6, ne=0.4),)
    assert label_probabilities(Reply("", logprobs=only), WORD, LABELS) == pytest.approx((0.2, 0.2, 0.6))


def test_a_label_that_begins_another():
    labels = ("very", "very much")
    tokens = (_token("very", very=0.9, much=0.1), _token(" much", _much=0.5, stop=0.5))
    assert label_probabilities(Reply("", logprobs=tokens), WORD, labels) == pytest.approx((0.0, 1.0))
    assert label_probabilities(Reply("", logprobs=tokens[:1]), WORD, labels) == pytest.approx((1.0, 0.0))


def test_no_probability_where_nothing_matches():
    assert label_probabilities(Reply("mixed", logprobs=(_token("mixed", mixed=1.0),)), WORD, LABELS) is None
    assert label_probabilities(Reply("positive"), WORD, LABELS) is None

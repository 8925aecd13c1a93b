"""Reasoning replies: every word of the three texts is read, or the reply is malformed and says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recipes
from recipes.answers_reasoning import parse_reasoned
from recipes.chat import Reply
from recipes.prompts import AnswerFormat

FORM = AnswerFormat(kind="reasoning")
TEXTS = ("Which fits?", "First I look.\nThen I choose.", "This one, 5 cm.")


def read(text, **reply):
    return parse_reasoned(Reply(text, **reply), FORM)


def triple(answer):
    return answer.question, answer.reasoning, answer.response


GOOD = json.dumps(dict(zip(FORM.key_names(), TEXTS, strict=True)))
RAW = GOOD.replace("\\n", "\n")
REPAIRED = [
    ("raw line break", RAW),
    ("fence", f"```json\n{RAW}\n```"),
    ("fence and text", f"Here is the object you asked for:\n```json\n{GOOD}\n```\nI hope: {{this}} helps!"),
    ("comma too many", RAW[:-1] + ",}"),
    ("no end", RAW[:-1]),
    ("no comma", RAW.replace('", "Comp', '"\n "Comp')),
    ("single quotes", GOOD.replace('"', "'")),
    ("typographic quotes", GOOD.replace('"', "“", 1).replace('"', "”")),
    ("no quotes around keys", GOOD.replace('"Question"', "Question").replace('"Response"', "Response")),
    ("keys in lower case", GOOD.replace("Question", "question").replace("Complex_CoT", "complex_cot")),
    ("keys with spaces", GOOD.replace("Complex_CoT", "Complex CoT")),
    ("keys with spaces, raw", RAW.replace("Complex_CoT", "complex cot").replace("Response", "RESPONSE")),
    ("wrapped", f'{{"answer": {GOOD}}}'),
    ("in a list", f"[{GOOD}]"),
    ("JSON in a text", json.dumps(GOOD)),
    ("the same twice", f"{GOOD}\n{GOOD}"),
    ("raw, in a list", f"[{RAW}]"),
    ("thought before", f"<think>a {{draft}} of \"Question\": 'x'</think>\n{RAW}"),
    ("thought before, opened by the template", f"First \"Response\": 'no'.</think>{RAW}"),
    ("triple quotes", GOOD.replace('"First I look.\\nThen I choose."', '"""First I look.\nThen I choose."""')),
]  # fmt: skip


def test_strict_json_is_clean():
    assert triple(read(GOOD)) == TEXTS
    assert read(GOOD).outcome == "clean"
    more = json.dumps({**json.loads(GOOD), "Notes": "x"})
    assert (triple(read(more)), read(more).outcome) == (TEXTS, "clean")
    assert triple(read("<think>x</think>" + GOOD)) == TEXTS


@pytest.mark.parametrize("text", [text for _, text in REPAIRED], ids=[name for name, _ in REPAIRED])
def test_a_form_a_little_off_is_repaired(text):
    assert (triple(read(text)), read(text).outcome) == (TEXTS, "repaired")


def test_unescaped_quotes_and_apostrophes_stay_in_their_text():
    text = '{"Question": "What is a "soft close"?", "Complex_CoT": \'It\'s slow.\', "Response": "A "soft" one"}'
    assert triple(read(text)) == ('What is a "soft close"?', "It's slow.", 'A "soft" one')
    text = RAW.replace("This one", 'The 5\\" one \\u00e9\\d')
    assert triple(read(text))[2] == 'The 5" one é\\d, 5 cm.'


MALFORMED = [
    ("", "the reply is empty"),
    ("I would choose this one.", "the reply holds no JSON object"),
    ('{"Question": "a", "Response": "b"}', 'the JSON object has no key "Complex_CoT"'),
    ('{"Question": "a", "Complex_CoT": ["b"], "Response": "c"}', '"Complex_CoT" must be one text, got a list'),
    ('{"Question": "a", "Complex_CoT": {"b": "c"}, "Response": "c"}', '"Complex_CoT" must be one text, got an object'),
    ('{"Question": "a", "Complex_CoT": "b", "Response": 5}', '"Response" must be one text, got a number'),
    ('{"Question": "a", "Complex_CoT": [\n"b"], \'Response\': "c"}', '"Complex_CoT" must be one text in double quotes'),
    (RAW[: len(RAW) * 2 // 3], 'the JSON object has no key "Response"'),
    (RAW[:-10], 'it is not clear where the text of "Response" ends'),
    (RAW.replace("cm.", 'cm."} and "more'), 'it is not clear where the text of "Response" ends'),
    (RAW.replace("choose.", 'choose "it".", "Notes": "x'), 'it is not clear where the text of "Complex_CoT" ends'),
    (RAW.replace("This one, ", 'first" + "second'), 'it is not clear where the text of "Response" ends'),
    (RAW.replace("This one, ", 'first" , "second'), 'it is not clear where the text of "Response" ends'),
    (GOOD.replace('"', "'").replace("This one, ", "a' +\n'b"), 'it is not clear where the text of "Response" ends'),
    (GOOD + GOOD.replace("5 cm", "6 cm"), "the reply holds several JSON objects"),
    (GOOD[:-1] + ', "Response": "other"}', 'the JSON object has the key "Response" twice'),
    (GOOD.replace("Which fits?", " "), '"Question" is empty'),
    ("[1, 2]", "expected one JSON object, got a list"),
    ("x" * 100_001, "the reply has 100001 characters"),
]


@pytest.mark.parametrize(("text", "problem"), MALFORMED, ids=[problem[:40] for _, problem in MALFORMED])
def test_what_is_not_plain_is_malformed_and_says_why(text, problem):
    answer = read(text)
    assert answer.outcome == "malformed"
    assert answer.problem.startswith(problem)
    assert triple(answer) == ("", "", "")


DRAFTS = [
    (f"Draft: {GOOD}</think>Sorry, I cannot help with that.", "refused"),
    (f"Draft: {GOOD}</think>", "malformed"),
    (f"Draft: {GOOD}</think>" + '{"Question": "a", "Compl', "malformed"),
    (f"<think>The tag </think> is mine. {GOOD}</think>I cannot answer that.", "refused"),
    (f"<think> {GOOD} hmm", "truncated"),
    (f"<think>a</think><think>{GOOD} hmm", "truncated"),
]


@pytest.mark.parametrize(("text", "outcome"), DRAFTS)
def test_a_draft_in_a_thought_is_no_answer(text, outcome):
    assert (read(text).outcome, triple(read(text))) == (outcome, ("", "", ""))
    assert triple(read(text, finish_reason="length")) == ("", "", "")


def test_an_answer_may_speak_of_the_tag_that_ends_a_thought():
    told = dict(zip(FORM.key_names(), ("Q?", "It ends\nwith </think> here.", "Write </think> there."), strict=True))
    for text in (json.dumps(told), json.dumps(told).replace("\\n", "\n"), f"<think>x</think>{json.dumps(told)}"):
        assert triple(read(text)) == tuple(told.values())
    last = {**told, "Complex_CoT": "I look."}
    assert triple(read(f"Here: {json.dumps(last)}")) == tuple(last.values())


def test_cut_refused_and_filtered_replies_have_their_own_outcome():
    assert read(RAW[:-10], finish_reason="length").outcome == "truncated"
    assert read(RAW[:-1], finish_reason="length").outcome == "truncated"  # its last quote may stand inside the text
    assert triple(read(GOOD, finish_reason="length")) == TEXTS
    assert read("I'm sorry, but I can't help with that.").outcome == "refused"
    assert read(GOOD, finish_reason="content_filter").outcome == "refused"
    assert read("", refusal="no").problem == "no"
    assert read(GOOD.replace("Which fits?", "")).empty == "Question"


def test_keys_of_another_name():
    form = AnswerFormat(kind="reasoning", question="frage", reasoning="denk weg", response="Réponse")
    text = '{"Frage": "a\n", "denk_weg": "b", "réponse": "c"}'
    assert triple(parse_reasoned(Reply(text), form)) == ("a", "b", "c")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: text.strip())
_HARD = st.lists(
    st.sampled_from(['"', "'", "’", "\n", "{", "}", ":", ",", "\\", "Response", '"Question": ', "word ", '5" ', '"} ']),
    min_size=1, max_size=12,
).map("".join).filter(lambda text: text.strip())  # fmt: skip
_WRITERS = {
    "strict": lambda row: json.dumps(row),
    "raw line breaks": lambda row: json.dumps(row).replace("\\n", "\n"),
    "fence": lambda row: f"Sure!\n```json\n{json.dumps(row, indent=2, ensure_ascii=False)}\n```\nDone.",
    "comma too many": lambda row: json.dumps(row)[:-1] + ", }",
    "python": lambda row: repr(row),
    "keys": lambda row: json.dumps({name.upper().replace("_", " "): value for name, value in row.items()}),
    "no end": lambda row: json.dumps(row)[:-1],
}


@given(st.tuples(_TEXT, _TEXT, _TEXT) | st.tuples(_HARD, _HARD, _HARD), st.sampled_from(sorted(_WRITERS)))
@settings(max_examples=600, deadline=None)
def test_no_word_is_ever_lost_or_added(texts, writer):
    answer = read(_WRITERS[writer](dict(zip(FORM.key_names(), texts, strict=True))))
    if answer.outcome in ("clean", "repaired"):
        assert triple(answer) == tuple(text.strip() for text in texts)
    if writer in ("strict", "keys", "fence"):
        assert answer.outcome in ("clean", "repaired")


@given(st.tuples(_HARD, _HARD, _HARD), st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_a_reply_cut_anywhere_never_makes_a_shorter_text(texts, end):
    whole = json.dumps(dict(zip(FORM.key_names(), texts, strict=True)), ensure_ascii=False)
    answer = read(whole[:end])
    if answer.outcome in ("clean", "repaired"):
        assert triple(answer) == tuple(text.strip() for text in texts)


@given(st.text(max_size=300) | _HARD)
@settings(max_examples=300, deadline=None)
def test_no_reply_can_raise(text):
    assert read(text).outcome in ("clean", "repaired", "malformed", "refused", "truncated")


def test_hostile_replies_cost_little():
    for part in ('"Question": "', '{"', "{", "Response: '", "\\", '", "', '"}', " ", "c_o_m_"):
        text = ('{"Question": "a", "Complex_CoT": "b", "Response": "' + part * 100_000)[:100_000]
        assert read(text).outcome == "malformed", part
    assert read("<think></think>" * 50_000).outcome == "truncated"
    assert read('</think>{"' * 50_000).outcome == "malformed"


def test_the_recorded_replies_of_the_shipped_products_are_read():
    lines = (Path(recipes.__file__).parent / "data" / "products-teacher.jsonl").read_text(encoding="utf-8").splitlines()
    outcomes = [read(json.loads(line)["reply"]).outcome for line in lines]
    assert outcomes.count("clean") + outcomes.count("repaired") >= 100

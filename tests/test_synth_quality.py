"""The filters of generative rows: each reason, in its order, and duplicates of what was kept before."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.rows import ResponseRow, Turn
from recipes.schema import Filters, Recipe, Source, Teacher
from recipes.students import CausalStudent
from synth.duplicates import similarity, sketch
from synth.echoes import Echoes
from synth.quality import Quality, row_problem

FIELDS = {"title": "Beacon Torch", "description": "400 lumens for 3 hours. Weighs 74 g. Lockable, tilts by 60 degrees."}
REASONING = (
    "A torch for camping should be light and bright enough. At 74 g and 400 lumens it is both, and it cannot go "
    "on by accident because it locks."
)
RESPONSE = "The Beacon Torch gives 400 lumens, weighs 74 g and locks, so that it does not burn in the bag."


def row(**changes):
    values = {"question": "What lights my tent?", "reasoning": REASONING, "response": RESPONSE, "fields": FIELDS}
    return ResponseRow(id=changes.pop("id", "1"), split="train", group="g", **{**values, **changes})


PROBLEMS = [
    ({}, None),
    ({"response": "Take the torch."}, "short_response"),
    ({"response": RESPONSE * 90}, "long_response"),
    ({"reasoning": "  "}, "empty_reasoning"),
    ({"reasoning": "It is light."}, "short_reasoning"),
    ({"reasoning": REASONING, "response": f"{REASONING} {RESPONSE}"}, "copied_reasoning"),
    ({"reasoning": RESPONSE.upper()}, "copied_reasoning"),
    (
        {"reasoning": FIELDS["description"] + FIELDS["description"], "fields": {"d": FIELDS["description"] * 2}},
        "copied_reasoning",
    ),
    ({"reasoning": REASONING + " The context mentions a lock."}, "meta_talk"),
    ({"question": "Based on the description, what lights my tent?"}, "meta_talk"),
    ({"response": RESPONSE.replace("400", "500")}, "ungrounded"),
    ({"response": RESPONSE, "question": "Is there one of 500 lumens?"}, None),
]


@pytest.mark.parametrize(
    ("changes", "reason"), PROBLEMS, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(PROBLEMS)]
)
def test_each_reason(changes, reason):
    found = row_problem(row(**changes), "reasoning", Filters())
    assert (found and found[0]) == reason


def test_filters_can_be_turned_off():
    lenient = Filters(meta_talk=False, grounded=False, min_reasoning_chars=0, min_response_chars=1)
    assert row_problem(row(reasoning=REASONING + " The context mentions it."), "reasoning", lenient) is None
    assert row_problem(row(response="Take 500 of them."), "reasoning", lenient) is None
    assert row_problem(row(reasoning=" "), "reasoning", lenient)[0] == "empty_reasoning"


ORDINARY = [
    ("Summarise this article: the moon is far.", "The provided text reports that the moon is far from here."),
    ("How do I parse JSON?", "Call json.loads: it returns the JSON object as a dict of Python."),
    ("What goes above the fold?", "Put the product title and the price first, then the product description."),
    ("What is few-shot prompting?", "With a few-shot prompt, the system prompt shows examples of the task."),
    ("How do I write a README?", "Say what it does. The description mentions the licence; my instructions follow."),
    ("How do I get a job?", "As an AI engineer you need to show what you have built so far."),
]


@pytest.mark.parametrize(("question", "response"), ORDINARY)
def test_a_chat_may_speak_of_texts(question, response):
    assert row_problem(row(question=question, response=response, reasoning=None, fields={}), "chat", Filters()) is None


def test_a_chat_that_speaks_of_itself_is_no_row():
    for response in (
        "As an AI language model, I have no torch at all.",
        "I'm just a language model, so I own no tent.",
    ):
        own = row(question="As an AI, have you a torch?", response=response, reasoning=None, fields={})
        assert row_problem(own, "chat", Filters())[0] == "meta_talk"


def test_a_description_may_speak_of_what_its_title_shows_and_of_no_more():
    said = {"response": "Based on the description, 500 lumens.", "reasoning": None}
    assert row_problem(row(**said), "description", Filters()) == (
        "meta_talk",
        "the response says 'Based on the description'",
    )
    assert row_problem(row(**said, question="A Description of Egypt"), "description", Filters()) is None
    both = row(response=said["response"] + " As an AI, I cannot say.", question="A Description of Egypt")
    assert row_problem(both, "description", Filters()) == ("meta_talk", "the response says 'As an AI'")
    assert row_problem(row(response="No field has 500 lumens here."), "description", Filters()) is None


@contextmanager
def quality(task="reasoning", **filters):
    student = CausalStudent(kind="causal", base="scratch", format="think", lora=None, quantization="none")
    recipe = Recipe(
        name="t",
        task=task,
        source=Source(path="x.jsonl", fields={"title": "t", "description": "d"}),
        teacher=Teacher(provider="endpoint", model="m", base_url="http://127.0.0.1:9/v1"),
        filters=Filters(**filters),
        students={"s": student},
    )
    with closing(Quality(recipe)) as screen:
        yield screen


def test_a_chat_may_be_short_where_no_length_is_named():
    short = row(response="Paris.", reasoning=None, fields={})
    assert row_problem(short, "chat", Filters()) is None
    assert row_problem(short, "chat", Filters(max_response_chars=9)) is None
    assert row_problem(short, "chat", Filters(min_response_chars=9)) == ("short_response", "6 of 9 characters")
    assert row_problem(short, "description", Filters()) == ("short_response", "6 of 20 characters")


def test_a_reject_keeps_what_was_written():
    with quality() as screen:
        reject = screen.reject(row(response="Too short."))
    assert (reject.stage, reject.reason, reject.detail, reject.split) == (
        "filter",
        "short_response",
        "10 of 20 characters",
        "train",
    )
    assert reject.text == f"{FIELDS['title']}\n{FIELDS['description']}"
    assert json.loads(reject.reply) == {
        "question": "What lights my tent?",
        "reasoning": REASONING,
        "response": "Too short.",
    }


def test_a_second_response_like_the_first_is_rejected_and_a_rejected_one_counts_for_nothing():
    with quality() as screen:
        assert screen.reject(row(id="0", reasoning="no")).reason == "short_reasoning"
        assert screen.reject(row(id="1")) is None
        reject = screen.reject(row(id="2", question="Which torch is light?"))
        assert (reject.reason, reject.detail) == ("near_duplicate", "the response is near that of 1")
    with quality(near_duplicate=None) as screen:
        assert [screen.reject(row(id=str(n))) for n in range(3)] == [None] * 3


def test_a_chat_is_an_echo_only_where_its_question_is_one_too():
    long = " ".join(f"word{n}" for n in range(400))  # beside it a question weighs nothing
    tent = "Does the first of my seven tents need any light at all?"
    with quality("chat") as screen:
        assert screen.reject(row(id="1", question=tent, response=long)) is None
        assert screen.reject(row(id="2", question="Which torch is light?", response=long)) is None
        assert screen.reject(row(id="3", question=tent, response="No, but a torch does no harm to it.")) is None
        before = (Turn(role="user", content="Sold any tents?"), Turn(role="assistant", content="Yes, several of them."))
        assert screen.reject(row(id="4", question=tent, response=long, history=before)) is None
        reject = screen.reject(row(id="5", question=tent.upper(), response=long))
    assert (reject.reason, reject.detail) == ("near_duplicate", "the question and the response are near those of 1")


def test_a_response_of_another_language_is_rejected():
    german = "Diese Lampe ist leicht und hell genug für ein Zelt, und sie geht nicht von selbst an."
    with quality(language="en") as screen:
        assert screen.reject(row(response=german)).reason == "language"
        assert screen.reject(row()) is None


_WORDS = st.lists(st.sampled_from(["big", "red", "tent", "lamp", "and", "a", "very", "old"]), min_size=3, max_size=14)


@given(st.lists(_WORDS.map(" ".join), min_size=2, max_size=14), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=80, deadline=None)
def test_echoes_are_those_texts_that_are_near_a_kept_one(texts, threshold):
    echoes, kept = Echoes(threshold), []
    for number, text in enumerate(texts):
        near = [n for n, other in kept if similarity(sketch(text), sketch(other)) >= threshold - 1e-9]
        found = echoes.near(text)
        assert (found is not None) == bool(near)
        if found is None:
            echoes.keep(str(number), text)
            kept.append((number, text))
        else:
            assert int(found) in near
    echoes.close()


def test_what_is_kept_lies_in_a_temporary_file_and_not_in_memory():
    echoes = Echoes(0.9)
    echoes.keep("1", "a b c")
    assert echoes.base.execute("PRAGMA cache_size").fetchone() == (-2000,)  # kB of it in memory
    echoes.base.execute("COMMIT")
    # Memory holds no other journals than `memory` and `off` (sqlite.org/pragma.html#pragma_journal_mode).
    assert echoes.base.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    echoes.close()

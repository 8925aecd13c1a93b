"""Label rows: votes, majority, ties, asking again, soft labels, and the reason of every reject."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from recipes.chat import ChatRequest, Message, Reply, TokenLogprobs, Usage
from recipes.prompts import AnswerFormat, Prompt
from recipes.rows import Example, LabelRow, Reject
from recipes.schema import Recipe, Source, Synthesis, Teacher
from recipes.students import ClassifierStudent
from synth.filters import unfit_row
from synth.journal import Failure
from synth.tasks.labels import LabelTask

LABELS = ("negative", "neutral", "positive")
JSON = Prompt(1, (Message("system", "Label."),), ("Tweet: ", "text", ""), AnswerFormat(kind="json", rationale="reason"))
WORD = Prompt(1, (), ("Tweet: ", "text", ""), AnswerFormat(kind="word"))
EXAMPLE = Example(id="7", fields={"text": "nice"}, gold="positive", split="train", group="g")
GOOD = '{"reason": "because", "label": "positive"}'


def task(prompt=WORD, targets="hard", teacher=None, **synthesis):
    recipe = Recipe(
        name="t",
        task="classify",
        labels=LABELS,
        source=Source(path="x.jsonl", text="text"),
        teacher=Teacher(provider="endpoint", model="m", base_url="http://127.0.0.1:9/v1/", **(teacher or {})),
        synthesis=Synthesis(prompt="p", **synthesis),
        students={"s": ClassifierStudent(kind="classifier", base="minilm", targets=targets)},
    )
    return LabelTask(recipe, prompt)


class Replies:
    """A teacher of canned replies: for each sample, the first, second ... reply of that vote's conversation."""

    def __init__(self, *votes):
        self.votes = votes
        self.asked = []

    def __call__(self, request: ChatRequest):
        self.asked.append(request)
        turn = sum(message.role == "assistant" for message in request.messages)
        replies = self.votes[request.sample]
        if turn >= len(replies):
            return None
        return replies[turn] if isinstance(replies[turn], Reply | Failure) else Reply(replies[turn])


def settle(*votes, **options):
    options.setdefault("votes", len(votes))
    return task(**options).settle(EXAMPLE, Replies(*votes))


def test_the_first_request():
    asked = task(JSON, teacher={"temperature": 0.3, "seed": 5}).advance(EXAMPLE, Replies([]))[0]
    assert len(asked) == 1
    assert asked[0].endpoint == "http://127.0.0.1:9/v1"
    assert asked[0].messages == (Message("system", "Label."), Message("user", "Tweet: nice"))
    assert asked[0].response_format == {"type": "json_object"}
    assert (asked[0].sampling.temperature, asked[0].sampling.seed, asked[0].sample) == (0.3, 5, 0)
    assert task(WORD).advance(EXAMPLE, Replies([]))[0][0].response_format is None


def test_a_schema_asks_for_the_reason_first():
    schema = task(JSON, output="json_schema").response_format["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reason", "label"] == schema["required"]
    assert schema["properties"]["label"]["enum"] == list(LABELS)


def test_a_clean_row():
    row = settle([GOOD], prompt=JSON)
    assert row == LabelRow(
        id="7", text="nice", gold="positive", split="train", group="g", label="positive",
        soft=(0.0, 0.0, 1.0), rationale="because", votes=("positive",), outcome="clean",
    )  # fmt: skip
    LabelRow.model_validate_json(row.model_dump_json())


def test_votes_are_samples_of_one_question_and_only_the_unanswered_are_missing():
    asked = task(votes=3).advance(EXAMPLE, Replies(["positive"], [], ["neutral"]))[0]
    assert [request.sample for request in asked] == [1]
    every = task(votes=3).advance(EXAMPLE, Replies([], [], []))[0]
    assert len({request.messages for request in every}) == 1
    assert len({request.key() for request in every}) == 3


def test_a_strict_majority_of_all_votes_wins():
    row = settle(["positive"], ["neutral"], ["Positive"], reask=0)
    assert (row.label, row.votes, row.outcome) == ("positive", ("positive", "neutral", "positive"), "repaired")
    assert row.soft == pytest.approx((0, 1 / 3, 2 / 3))


def test_the_rationale_is_that_of_the_first_vote_for_the_winner():
    replies = [
        [f'{{"reason": "{n}", "label": "{label}"}}'] for n, label in enumerate(["neutral", "positive", "positive"])
    ]
    assert settle(*replies, prompt=JSON).rationale == "1"


@pytest.mark.parametrize(
    ("votes", "detail"),
    [
        ([["positive"], ["negative"]], "positive 1, negative 1"),
        ([["positive"], ["negative"], ["neutral"]], "positive 1, negative 1, neutral 1"),
        ([["positive"], ["what?"], ["what?"]], "positive 1, no answer 2"),
        ([["positive"], ["positive"], ["what?"], ["neutral"]], "positive 2, neutral 1, no answer 1"),
    ],
)
def test_no_majority_is_an_outcome_and_never_random(votes, detail):
    reject = settle(*votes, reask=0)
    assert (reject.reason, reject.detail, reject.stage, reject.split) == ("no_majority", detail, "teacher", "train")
    kept = settle(*votes, reask=0, targets="soft")
    assert (kept.label, kept.rationale) == (None, None)
    assert sum(kept.soft) == pytest.approx(1)


def test_a_bad_reply_is_asked_again_with_the_error_shown():
    replies = Replies(["not positive", "positive"])
    asked = task().advance(EXAMPLE, Replies(["not positive"]))[0]
    assert [message.role for message in asked[0].messages] == ["user", "assistant", "user"]
    assert asked[0].messages[1].content == "not positive"
    assert "got 'not positive'" in asked[0].messages[2].content
    assert task().advance(EXAMPLE, replies)[0] == []
    assert task().settle(EXAMPLE, replies).label == "positive"


def test_asking_again_is_bounded_and_the_last_reply_is_kept():
    row_task = task(reask=2)
    assert row_task.advance(EXAMPLE, Replies(["a b", "c d", "e f"]))[0] == []
    reject = row_task.settle(EXAMPLE, Replies(["a b", "c d", "e f"]))
    assert (reject.reason, reject.reply) == ("unknown_label", "e f")
    assert len(row_task.advance(EXAMPLE, Replies(["a b", "c d"]))[0]) == 1
    assert task(reask=0).advance(EXAMPLE, Replies(["a b"]))[0] == []


def test_a_truncated_reply_is_asked_again_and_a_refusal_is_not():
    cut = Reply("The twe", finish_reason="length")
    assert "Be brief" in task().advance(EXAMPLE, Replies([cut]))[0][0].messages[-1].content
    assert task().settle(EXAMPLE, Replies([cut, cut, cut])).reason == "truncated"
    refused = Replies(["I'm sorry, but I cannot label this."])
    assert task().advance(EXAMPLE, refused)[0] == []
    assert task().settle(EXAMPLE, refused).reason == "refused"


CUT = '{"reason": "I think that'
RAISE = "raise teacher.max_tokens (1,024)"
SERVER = "though teacher.max_tokens is 1,024: raise the server's own limit (its context length)"


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (Reply(CUT, "length", Usage(9, 0, 1024)), f"the reply was cut off at 1,024 tokens: {RAISE}"),
        (Reply(CUT, "length"), f"the reply was cut off at 1,024 tokens: {RAISE}"),
        (Reply(CUT, "length", Usage(9, 0, 300)), f"the reply was cut off at 300 tokens, {SERVER}"),
        (Reply("", "length", Usage(9, 0, 1024)), f"the reply was cut off at 1,024 tokens: {RAISE}"),
        (
            Reply(CUT, "stop", Usage(9, 0, 1024)),
            f"the reply breaks off inside its JSON object at 1,024 tokens: {RAISE}",
        ),
        (Reply(CUT, "stop", Usage(9, 0, 7)), f"the reply breaks off inside its JSON object at 7 tokens, {SERVER}"),
        (Reply('```json\n{"reason": "x", "label', "unknown"), f"the reply breaks off inside its JSON object, {SERVER}"),
    ],
)
def test_a_reply_that_was_cut_off_says_where_and_what_to_raise(reply, detail):
    reject = settle([reply], prompt=JSON, reask=0)
    assert (reject.reason, reject.detail) == ("truncated", detail)


@pytest.mark.parametrize("text", ['{"reason": "x"}', "none {", "{a} {", '{"reason": {"label": "x"}}'])
def test_what_has_its_end_is_not_called_cut_off(text):
    expected = "truncated" if text.endswith("{") else "malformed"
    assert settle([text], prompt=JSON, reask=0).reason == expected
    assert settle([text], prompt=WORD, reask=0).reason != "truncated"


def test_a_cut_reply_counts_for_nothing_once_another_came():
    assert settle([CUT, "I'm sorry, but I cannot label this."], prompt=JSON).reason == "refused"


def test_a_huge_bad_reply_is_not_echoed_whole():
    asked = task().advance(EXAMPLE, Replies(["x" * 1_000_000]))[0]
    assert len(asked[0].messages[1].content) == 4_000
    assert len(task(reask=0).settle(EXAMPLE, Replies(["x" * 1_000_000])).reply) == 20_000


def test_every_way_to_fail_has_its_reason():
    failed = Failure(kind="rejected", message="400: bad")
    reasons = {
        "malformed": settle(['{"label": []}'], prompt=JSON, reask=0),
        "unknown_label": settle(['{"label": "mixed"}'], prompt=JSON, reask=0),
        "teacher_failed": settle([failed]),
        "not_recorded": settle([]),
    }
    assert {name: reject.reason for name, reject in reasons.items()} == {name: name for name in reasons}
    assert reasons["teacher_failed"].detail == "rejected: 400: bad"
    for reject in reasons.values():
        Reject.model_validate_json(reject.model_dump_json())


def test_a_reply_that_was_never_asked_again_keeps_its_own_reason():
    assert settle(["what is that?"]).reason == "unknown_label"


def test_a_failed_vote_does_not_undo_a_majority():
    failed = Failure(kind="timeout", message="120 s")
    assert settle(["positive"], [failed], ["positive"]).votes == ("positive", None, "positive")
    assert settle(["positive"], [failed], [failed]).reason == "no_majority"


def test_soft_labels_from_logprobs_are_means_and_fall_back_to_votes():
    def reply(word, **shares):
        top = tuple((name, math.log(share)) for name, share in shares.items())
        return Reply(word, logprobs=(TokenLogprobs(word, top),))

    sure, unsure = reply("positive", positive=0.9, neutral=0.1), reply("positive", positive=0.5, neutral=0.5)
    assert settle([sure], [unsure], soft_labels="logprobs").soft == pytest.approx((0, 0.3, 0.7))
    bare = replace(sure, logprobs=None)
    assert settle([bare], soft_labels="logprobs").soft == (0, 0, 1)
    assert task(soft_labels="logprobs").advance(EXAMPLE, Replies([]))[0][0].sampling.logprobs


def test_lone_surrogates_in_a_reply_can_be_stored():
    row = settle(['{"reason": "x\ud83d", "label": "positive"}'], prompt=JSON)
    assert row.rationale == "x\ufffd"
    assert settle(["\ud83d"], reask=0).model_dump_json()
    assert task().advance(EXAMPLE, Replies(["\ud83d bad one"]))[0][0].key()


def test_short_rationales_are_filtered():
    row = settle([GOOD], prompt=JSON)
    assert unfit_row(row, Synthesis(prompt="p", min_rationale_chars=8)) == ("short_rationale", "7 of 8 characters")
    assert unfit_row(row, Synthesis(prompt="p", min_rationale_chars=7)) is None
    assert unfit_row(settle(["positive"]), Synthesis(prompt="p", min_rationale_chars=7)) is None

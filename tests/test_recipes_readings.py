"""Readings of reviews: what a teacher's reply says, what of it is mended, and what is junk."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.aspects import write_opinions
from recipes.chat import Reply
from recipes.junk import quotable
from recipes.readings import graded, is_analysis, parse_analysis, parse_rewrite, read_written
from recipes.rows import GRADES, Opinion

REVIEW = "The mushroom soup was delicious, but we waited an hour for the bill."
SOUP = {
    "target": "mushroom soup",
    "aspect": "food quality",
    "sentiment": "very positive",
    "reasoning": 'Said outright with "delicious".',
}
BILL = {
    "target": "bill",
    "aspect": "service speed",
    "sentiment": "negative",
    "reasoning": "Implied: waiting an hour for it is a complaint.",
}
GOOD = json.dumps({"opinions": [SOUP, BILL]})
REWRITE = "I loved the mushroom soup, but I was annoyed that the bill took an hour."


def test_a_good_analysis() -> None:
    reading = parse_analysis(Reply(GOOD), REVIEW)
    assert (reading.outcome, reading.problem) == ("clean", "")
    assert reading.opinions == (Opinion(**SOUP), Opinion(**BILL))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{GOOD}\n```",
        f"Here you are: {GOOD} Anything else?",
        json.dumps([SOUP, BILL]),
        f"```\n{json.dumps([SOUP, BILL])}\n```",
        GOOD[:-2] + ",]}",
        GOOD.replace("very positive", "Very Positive").replace('"negative"', '"mildly negative"'),
        f"<think>draft: {{}}</think>{GOOD.replace('opinions', 'Opinions')}",
        json.dumps({"opinions": [SOUP, BILL, SOUP]}),
    ],
)
def test_a_form_that_is_a_little_off_is_mended(text: str) -> None:
    reading = parse_analysis(Reply(text), REVIEW)
    assert reading.outcome == "repaired", reading.problem
    assert reading.opinions == (Opinion(**SOUP), Opinion(**BILL))  # type: ignore[arg-type]


def changed(**fields: object) -> str:
    return json.dumps({"opinions": [SOUP, {**BILL, **fields}]})


@pytest.mark.parametrize(
    ("text", "junk", "problem"),
    [
        (changed(target="N/A"), "placeholder", '"target" of opinion 2 says nothing'),
        (changed(aspect="<aspect>"), "placeholder", '"aspect" of opinion 2 says nothing'),
        (changed(reasoning="..."), "placeholder", '"reasoning" of opinion 2 says nothing'),
        (changed(reasoning="Half of the  keys stopped glowing soon."), "copied_prompt", "is that of an example"),
        ('{"opinions": []}', "no_opinions", "the review says 'delicious'"),
        (
            json.dumps({"opinions": [{**BILL, "target": f"key {n}", "reasoning": "It broke."} for n in range(3)]}),
            "unrelated",
            "no word of the review",
        ),
        (changed(sentiment="so so"), None, "must be one of very negative, .* got 'so so'"),
        (changed(sentiment="positive / negative"), None, "must be one of"),
        (changed(target=""), None, 'opinion 2 needs "target"'),
        (changed(reasoning=None), None, 'opinion 2 needs "reasoning"'),
        ('{"opinions": "none"}', None, '"opinions" must be a list, got text'),
        ('{"opinions": ["soup"]}', None, "opinion 1 must be an object"),
        (json.dumps({"opinions": [SOUP] * 41}), None, "at most 40"),
        ('{"answer": []}', None, 'no key "opinions"'),
        (f"{GOOD} or {GOOD}", None, "several JSON objects"),
        ("The soup was good.", None, "no JSON object"),
        ("", None, "the reply is empty"),
    ],
)
def test_junk_is_known_and_named(text: str, junk: str | None, problem: str) -> None:
    import re

    reading = parse_analysis(
        Reply(text), REVIEW, quotable(["Half of the keys stopped glowing soon.", SOUP["reasoning"]])
    )
    assert (reading.outcome, reading.opinions, reading.junk) == ("malformed", None, junk)
    assert re.search(problem, reading.problem), reading.problem


def test_an_empty_list_is_an_analysis_of_a_review_without_opinions() -> None:
    assert parse_analysis(Reply('{"opinions": []}'), "We sat at the window.").opinions == ()


def test_a_short_review_may_be_read_in_other_words() -> None:
    told = {**BILL, "target": "the restaurant", "reasoning": "Implied: they do not want to return."}
    for review in ("Never again.", "Tomorrow morning everybody from this family eats somewhere else."):
        assert parse_analysis(Reply(json.dumps({"opinions": [told]})), review).outcome == "clean"


def test_an_implied_target_is_no_junk() -> None:
    assert parse_analysis(Reply(changed(target="the restaurant")), REVIEW).outcome == "clean"


def test_refused_and_cut_off_replies_are_told_apart() -> None:
    assert parse_analysis(Reply("I'm sorry, but I can't help with that."), REVIEW).outcome == "refused"
    assert parse_analysis(Reply(GOOD[:50], finish_reason="length"), REVIEW).outcome == "truncated"
    assert parse_rewrite(Reply("", refusal="no"), REVIEW).outcome == "refused"


def rewrite(text: object) -> Reply:
    return Reply(json.dumps({"rewrite": text}))


def test_a_good_rewrite_is_one_line() -> None:
    reading = parse_rewrite(rewrite(REWRITE.replace(", but", ",\nbut")), REVIEW)
    assert (reading.outcome, reading.rewrite) == ("clean", REWRITE)


@pytest.mark.parametrize(
    ("text", "junk"),
    [
        (REVIEW, "copied_review"),
        (REVIEW.upper() + "!!", "copied_review"),
        ("The reviewer loved the mushroom soup, but I see that the bill took an hour.", "third_person"),
        ("The mushroom soup was much loved, but it took an hour for the bill to come.", "third_person"),
        ("Here is the rewritten review: I loved the soup, and I was annoyed about the bill.", "meta_talk"),
        ("I loved the soup.", "short_rewrite"),
        (REWRITE * 8, "long_rewrite"),
        ("N/A", "placeholder"),
        ("I like how comfortable the keyboard is, and I am upset about its poor durability.", "copied_prompt"),
    ],
)
def test_a_rewrite_that_is_none(text: str, junk: str) -> None:
    shown = quotable(["I like how comfortable the keyboard is, and I am upset about its  poor durability."])
    reading = parse_rewrite(rewrite(text), REVIEW, shown)
    assert (reading.outcome, reading.rewrite, reading.junk) == ("malformed", None, junk)


@pytest.mark.parametrize("text", ["", "  ", 3, None, ["I loved it"]])
def test_a_rewrite_must_be_a_text(text: object) -> None:
    assert (parse_rewrite(rewrite(text), REVIEW).outcome, parse_rewrite(rewrite(text), REVIEW).junk) == (
        "malformed",
        None,
    )


def test_a_rewrite_in_another_language_is_not_judged_by_english_words() -> None:
    review = "Die Suppe war lecker, aber wir haben eine Stunde auf die Rechnung gewartet."
    assert parse_rewrite(rewrite("Die Suppe fand ich toll, aber die Rechnung kam viel zu spät."), review).rewrite


PUBLISHED = """Opinion Target 1: "mushroom soup"
Aspect: Food, Quality/Taste
Sentiment: Very Positive
Reasoning: The word "delicious" shows it
outright.

Opinion Target 2: "bill"
Aspect 1: Service Speed
Sentiment 1: Mild
Reasoning 1: They waited an hour.
**Aspect:** Overall
Sentiment: Very Positive (soup) / Negative (bill)
Reasoning: Unclear.

Confidence: 90%
Opinion Target 3: "again"
Aspect: x
Sentiment: Positive"""


def test_the_published_form_is_read() -> None:
    assert is_analysis(PUBLISHED) and is_analysis(GOOD) and is_analysis("a | b | positive | c")
    assert not is_analysis(" " + REWRITE) and not is_analysis("I | we loved the aspect: it was good.")
    reading = read_written("analysis", PUBLISHED, REVIEW)
    assert reading.outcome == "repaired"
    assert [(told.target, told.aspect, told.sentiment) for told in reading.opinions or ()] == [
        ("mushroom soup", "Food, Quality/Taste", "very positive"),
        ("bill", "Service Speed", "neutral"),
    ]
    assert reading.opinions and reading.opinions[0].reasoning == 'The word "delicious" shows it outright.'


def test_what_is_said_after_the_last_opinion_is_no_reasoning() -> None:
    """As the published corpus has it: lines of other names after an empty one."""
    told = PUBLISHED.split("\n\n")[0]
    reading = read_written("analysis", f"{told}\n\nConsent: the user agreed.\n\nID: none was given.", REVIEW)
    assert reading == read_written("analysis", told, REVIEW)
    more = read_written("analysis", f"{told}\n\nNote: one more.\n\n{told.replace('mushroom soup', 'bill')}", REVIEW)
    assert [told.target for told in more.opinions or ()] == ["mushroom soup", "bill"]


def test_a_published_rewrite_may_name_nobody_and_ends_before_other_lines() -> None:
    text = "The mushroom soup was much loved, but it took an hour for the bill.\n\nConfidence: 90%"
    reading = read_written("rewrite", text, REVIEW)
    assert reading.outcome == "repaired"
    assert reading.rewrite == "The mushroom soup was much loved, but it took an hour for the bill."


OPINIONS = st.lists(
    st.builds(
        Opinion,
        target=st.sampled_from(["soup", "the | bill", "bill;"]),
        aspect=st.sampled_from(["taste", "speed"]),
        sentiment=st.sampled_from(GRADES),
        reasoning=st.sampled_from(["The soup is praised.", "Implied; they waited | an hour."]),
    ),
    min_size=1,
    max_size=5,
    unique=True,
)


@given(OPINIONS, st.booleans())
def test_our_own_form_is_read_whether_on_one_line_or_several(opinions: list[Opinion], lines: bool) -> None:
    text = "\n".join(write_opinions([one]) for one in opinions) if lines else write_opinions(opinions)
    assert read_written("analysis", text, REVIEW).opinions == tuple(opinions)


@given(st.text())
def test_no_reply_raises(text: str) -> None:
    for parse in (parse_analysis, parse_rewrite):
        assert parse(Reply(text), REVIEW).outcome in ("clean", "repaired", "malformed", "refused", "truncated")
    for part in ("analysis", "rewrite"):
        assert read_written(part, text, REVIEW).outcome in ("clean", "repaired", "malformed", "refused", "truncated")


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("Very_Positive", "very positive"),
        ("**negative**.", "negative"),
        ("extremely negative", "very negative"),
        ("Mild Positive", "positive"),
        ("slightly negative (implied)", "negative"),
        ("mixed", "neutral"),
        ("not positive", None),
        ("positive and negative", None),
        ("", None),
    ],
)
def test_grades_in_other_words(said: str, grade: str | None) -> None:
    assert graded(said) == grade

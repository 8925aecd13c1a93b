# ruff: noqa: E501 (golden sentences stay on one line)
"""Prompt files: what is replaced, what is not, and every mistake at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_files import write_recipe

from recipes.chat import Message
from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.prompts import SHIPPED, load_prompt, prompt_path, read_prompt

LABELS = ("negative", "neutral", "positive")
GOOD = """\
version: 2
system: |-
  Answer {"reason": "...", "label": "..."}
examples:
  - text: "so {text} it is"
    reply: {reason: "a “quote”", label: neutral}
  - text: b
    reply: '{"reason": "x", "label": "positive"}'
user: "Tweet: {text} -- {"
answer: {kind: json, label: label, rationale: reason}
"""


def prompt_of(folder: Path, text: str):
    path = folder / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return read_prompt(path, "classify", LABELS)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        prompt_of(folder, text)
    return [line.replace(str(folder / "p.yaml"), "p.yaml") for line in caught.value.mistakes]


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("[!ju]*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_prompt_of_a_teacher_checks(path):
    products = path.stem.startswith("product")
    task, fields = ("reasoning", ("title", "description")) if products else ("classify", ())
    prompt = read_prompt(path, task, LABELS, fields)
    assert prompt.placeholders == set(fields or ("text",))
    assert prompt.static[0].role == "system"


def test_messages_are_system_pairs_and_user(tmp_path):
    prompt = prompt_of(tmp_path, GOOD)
    messages = prompt.render({"text": "it's {text} {label} {{x}} \\1"})
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[0].content == 'Answer {"reason": "...", "label": "..."}'
    assert messages[1].content == "Tweet: so {text} it is -- {"
    assert messages[2].content == '{"reason": "a “quote”", "label": "neutral"}'
    assert messages[4].content == '{"reason": "x", "label": "positive"}'
    assert messages[5] == Message("user", "Tweet: it's {text} {label} {{x}} \\1 -- {")
    assert (prompt.version, prompt.answer.kind, prompt.answer.rationale) == (2, "json", "reason")


@given(st.text())
def test_a_text_is_never_read_as_a_template(text):
    prompt = read_prompt(SHIPPED / "sentiment-word.yaml", "classify", LABELS)
    assert prompt.render({"text": text})[-1].content == f"Tweet: {text}"


MISTAKES = [
    ("user: \"Tweet: {text} -- {\"", "user: Tweet", "p.yaml:9: user: {text} is missing: the teacher would never see the row's text"),
    ("Tweet: {text} --", "Tweet: {text} {txet} --", "p.yaml:9: user: there is no field {txet} in a row; a classify prompt may name {text}"),
    ('Answer {"reason"', 'Answer on {text} with {"reason"', "p.yaml:2: system: {text} belongs in user: the system message is the same for every row"),
    ("label: neutral}", "label: mixed}", "p.yaml:6: examples.0.reply: the label must be one of negative, neutral, positive, got 'mixed'"),
    ("label: neutral}", "label: Neutral}", "p.yaml:6: examples.0.reply: it is not written exactly as the answer should be"),
    ("reason: \"a “quote”\", ", "", "p.yaml:6: examples.0.reply: the JSON object has no key \"reason\""),
    ("'{\"reason\": \"x\", \"label\": \"positive\"}'", "positive", "p.yaml:8: examples.1.reply: the reply holds no JSON object"),
    ("  - text: b\n", "  - txt: b\n", "p.yaml:7: examples.1.txt: unknown key; did you mean text?"),
    ("kind: json", "kind: jsn", "p.yaml:10: answer.kind: must be json, word, reasoning, analysis or rewrite, got 'jsn'; did you mean json?"),
    ("version: 2", "version: two", "p.yaml:1: version: must be a whole number, got 'two'"),
    ("user: \"Tweet: {text} -- {\"", "user: \"\"", "p.yaml:9: user: must not be empty"),
    ("version: 2\n", "version: 2\nversion: 3\n", "p.yaml:2: version: the key stands twice, first on line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES, ids=[told.split(": ")[1] for _, _, told in MISTAKES])
def test_each_mistake_is_told_at_its_line(tmp_path, old, new, told):
    assert old in GOOD
    assert mistakes(tmp_path, GOOD.replace(old, new)) == [told]


def test_a_word_prompt_has_word_replies(tmp_path):
    text = GOOD.replace("kind: json", "kind: word")
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in mistakes(tmp_path, text)] == [
        "p.yaml:6 examples.0.reply",
        "p.yaml:8 examples.1.reply",
        "p.yaml:10 answer.rationale",
    ]


def test_a_prompt_beside_the_recipe_and_its_mistakes_in_the_recipes_check(tmp_path):
    (tmp_path / "p.yaml").write_text(GOOD, encoding="utf-8")
    recipe = load_recipe(write_recipe(tmp_path, ("prompt: sentiment-word", "prompt: p.yaml")))
    assert prompt_path(recipe) == (tmp_path / "p.yaml").resolve()
    assert load_prompt(recipe).version == 2
    (tmp_path / "p.yaml").write_text(GOOD.replace("{text}", "{tweet}"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"p\.yaml:9: user: there is no field \{tweet\}"):
        load_recipe(write_recipe(tmp_path, ("prompt: sentiment-word", "prompt: p.yaml")))


def test_few_shot_replies_keep_the_order_of_their_keys():
    prompt = read_prompt(SHIPPED / "sentiment-rationale.yaml", "classify", LABELS)
    replies = [json.loads(message.content) for message in prompt.static if message.role == "assistant"]
    assert len(replies) == 8
    assert all(list(reply) == ["reason", "label"] for reply in replies)


REASONING = """\
version: 1
system: Write Question, Complex_CoT and Response.
examples:
  - fields: {title: "A {description}", description: d}
    reply: {Question: q, Complex_CoT: c, Response: r}
user: "Title: {title} Description: {description}"
answer: {kind: reasoning}
"""


def reasoning_prompt(folder: Path, text: str, fields=("title", "description")):
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    return read_prompt(folder / "p.yaml", "reasoning", (), fields)


def test_a_reasoning_prompt_names_the_fields_of_the_source(tmp_path):
    prompt = reasoning_prompt(tmp_path, REASONING)
    assert prompt.answer.key_names() == ("Question", "Complex_CoT", "Response")
    assert [message.content for message in prompt.render({"title": "{title}", "description": "x"})] == [
        "Write Question, Complex_CoT and Response.",
        "Title: A {description} Description: d",
        '{"Question": "q", "Complex_CoT": "c", "Response": "r"}',
        "Title: {title} Description: x",
    ]


REASONING_MISTAKES = [
    ("Title: {title}", "Price: {price}", ["6: user: there is no field {price} in a row; a reasoning prompt may name {title}, {description}"]),
    ("Title: {title} Description: {description}", "Go", ["6: user: names no field of the row ({title}, {description}): the teacher would answer every row alike"]),
    (", description: d}", "}", ["4: examples.0.fields: description is missing: user names {description}"]),
    (", description: d}", ", description: d, prise: x}", ["4: examples.0.fields.prise: there is no field prise in a row; there is title, description"]),
    ("fields: {title: \"A {description}\", description: d}", "text: t", ["4: examples.0: an example of task: reasoning is {fields, reply}, with a value for each field"]),
    ("Response: r", "Response: [r]", ['5: examples.0.reply: "Response" must be one text, got a list']),
    ("Complex_CoT: c, ", "", ['5: examples.0.reply: the JSON object has no key "Complex_CoT"']),
    ("Complex_CoT: c", "complex_cot: c", ["5: examples.0.reply: it is not written exactly as the answer should be"]),
    ("kind: reasoning", "kind: json", ["7: answer.kind: task: reasoning reads answers of kind: reasoning"]),
    ("kind: reasoning", "kind: reasoning, label: x", ["7: answer.label: goes with kind: json; a reasoning answer has question, reasoning and response"]),
    ("kind: reasoning", "kind: reasoning, question: response", ["5: examples.0.reply: it is not written exactly as the answer should be", "7: answer: the three keys must differ by more than case: response, Complex_CoT, Response"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"), REASONING_MISTAKES, ids=[told[0][:30] for *_, told in REASONING_MISTAKES]
)
def test_each_mistake_of_a_reasoning_prompt_is_told_at_its_line(tmp_path, old, new, told):
    assert old in REASONING
    with pytest.raises(RecipeError) as caught:
        reasoning_prompt(tmp_path, REASONING.replace(old, new))
    assert [line.partition("p.yaml:")[2] for line in caught.value.mistakes] == told


def test_reasoning_keys_have_no_place_in_a_label_prompt(tmp_path):
    assert mistakes(tmp_path, GOOD.replace("kind: json,", "kind: json, response: x,")) == [
        "p.yaml:10: answer.response: goes with kind: reasoning, not with kind: json"
    ]

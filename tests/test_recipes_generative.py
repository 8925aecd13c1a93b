# ruff: noqa: E501 (golden sentences stay on one line)
"""Recipes of the generative tasks: every mistake at its line, and a plan from the fields and the prompt."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from recipes.errors import RecipeError
from recipes.load import load_recipe
from recipes.plan import make_plan
from recipes.prompts import load_prompt
from recipes.runs import RunFolder

STUDENTS = """\
students:
  tiny:
    kind: causal
    base: scratch
    format: think
    lora: null
    quantization: none
"""
REASONING = """\
name: small
task: reasoning
source:
  path: products.jsonl
  fields:
    title: title
    description: content
teacher:
  provider: fireworks
  model: m
  price: {input: 1, output: 2}
synthesis:
  prompt: product-reasoning
  budget_usd: 5
"""
DESCRIPTION = """\
name: small
task: description
source:
  path: products.jsonl
  fields:
    title: title
    description: content
"""
CHAT = """\
name: small
task: chat
source:
  path: chats.jsonl
  messages: messages
"""
TURNS = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]


def write(folder: Path, text: str, products=None, chats=None) -> Path:
    default = [
        {"title": f"Lamp {n}", "content": "A lamp of glass. " * 10, "reason": "x", "price": n} for n in range(20)
    ]
    files = {
        "products": products or default,
        "chats": chats or [{"messages": TURNS, "Complex_CoT": "a", "Response": "b"}] * 9,
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = folder / "r.yaml"
    path.write_text(text + STUDENTS, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str, **files) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(folder, text, **files))
    return [line.rpartition("r.yaml:")[2] for line in caught.value.mistakes]


@pytest.mark.parametrize("text", [REASONING, DESCRIPTION, CHAT])
def test_good_recipes(tmp_path, text):
    assert load_recipe(write(tmp_path, text)).labels == ()


ONE_MISTAKE = [
    (REASONING, "  budget_usd: 5\n", "  budget_usd: 5\n  votes: 3\n", "15: synthesis.votes: three texts have no majority: task: reasoning has one vote"),
    (REASONING, "  budget_usd: 5\n", "  budget_usd: 5\n  soft_labels: logprobs\n", "15: synthesis.soft_labels: goes with task: classify: a response has no label"),
    (REASONING, "  budget_usd: 5\n", "  budget_usd: 5\n  min_rationale_chars: 9\n", "15: synthesis.min_rationale_chars: goes with task: classify; see filters.min_reasoning_chars"),
    (REASONING, "task: reasoning\n", "task: reasoning\nlabels: [a, b]\n", "3: labels: labels go with task: classify, not with task: reasoning"),
    (REASONING, "content\n", "contents\n", "7: source.fields.description: there is no column 'contents' in products.jsonl; did you mean content?"),
    (REASONING, "content\n", "title\n", "7: source.fields.description: description and title cannot be the same column 'title'"),
    (REASONING, "    title: title\n", "    title: reason\n", "6: source.fields.title: the column 'reason' is by its name what a teacher wrote about the text (leakage): a student that reads it needs the teacher for every answer; name the text's own column (rename it if a person wrote it)"),
    (REASONING, "    title: title\n", "    Title: title\n    title: title\n", "6: source.fields.Title: a field has lower-case letters, digits and _ only (it stands in prompts as {name}), got 'Title'"),
    (REASONING, "  fields:\n", "  text: title\n  fields:\n", "5: source.text: has no place with task: reasoning, which needs fields, such as {title: title, description: description}"),
    (REASONING, "  fields:\n", "  label: title\n  fields:\n", "5: source.label: has no place with task: reasoning, which needs fields, such as {title: title, description: description}"),
    (REASONING, "  fields:\n    title: title\n    description: content\n", "", "3: source.fields: is missing: task: reasoning needs fields, such as {title: title, description: description}"),
    (REASONING, "teacher:\n  provider: fireworks\n  model: m\n  price: {input: 1, output: 2}\n", "", "1: teacher: is missing: task: reasoning needs one"),
    (REASONING, "  prompt: product-reasoning\n", "", "12: synthesis.prompt: is missing: a shipped prompt's name, or a file"),
    (REASONING, "synthesis:\n", "filters: {language: english}\nsynthesis:\n", "12: filters.language: must be two letters, such as en (ISO 639-1), got 'english'"),
    (REASONING, "synthesis:\n", "filters: {max_response_chars: 9}\nsynthesis:\n", "12: filters: min_response_chars is above max_response_chars: no response would be kept"),
    (DESCRIPTION, "source:\n", "teacher: {provider: fireworks, model: m}\nsource:\n", "3: teacher: task: description asks no teacher: its rows come from the source alone"),
    (DESCRIPTION, "source:\n", "synthesis: {prompt: product-reasoning}\nsource:\n", "3: synthesis.prompt: has no place with task: description: no teacher is asked"),
    (DESCRIPTION, "    title: title\n", "", "5: source.fields: lacks one: task: description needs fields: {title: <column>, description: <column>}"),
    (DESCRIPTION, "source:\n", "teacher: {provider: endpoint, base_url: 'http://localhost/v1'}\nsource:\n", "3: teacher.model: is missing"),
    (CHAT, "messages: messages", "messages: conversations", "5: source.messages: there is no column 'conversations' in chats.jsonl; there is messages, Complex_CoT, Response"),
    (CHAT, "messages: messages", "messages: Response", "5: source.messages: the column 'Response' of chats.jsonl holds no list: a conversation is a list of {role, content}, or of {from, value}"),
    (CHAT, "messages: messages", "messages: messages\n  fields: {question: messages, response: Response}", "6: source.fields: name either messages or fields: both say what the question and the response are"),
    (CHAT, "messages: messages", "fields: {question: Complex_CoT, response: Response}", "5: source.fields.question: the column 'Complex_CoT' is by its name what a teacher wrote about the text (leakage): a student that reads it needs the teacher for every answer; name the text's own column (rename it if a person wrote it)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "old", "new", "told"),
    ONE_MISTAKE,
    ids=[told.split(": ")[1] + str(n) for n, (*_, told) in enumerate(ONE_MISTAKE)],
)
def test_each_mistake_is_told_at_its_line(tmp_path, text, old, new, told):
    assert old in text
    assert told in mistakes(tmp_path, text.replace(old, new))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("colour: red", "unknown key; known here: kind, base, "),
        ("temperature: 1", "unknown key; did you mean answering.temperature?"),
        ("rank: 8", "unknown key; did you mean lora.rank?"),
        ("batch: 8", "unknown key; did you mean batch_size?"),
        ("targets: soft", "unknown key; did you mean lora.targets?"),
        ("lora: 16", "must be a section of `key: value` lines, such as lora: {rank: 16}, got 16"),
        ("lora: [16]", "must be a section of `key: value` lines, got a list"),
    ],
)
def test_an_unknown_key_of_a_student_is_told_what_is_near_and_nothing_else(tmp_path, line, told):
    path = write(tmp_path, DESCRIPTION)
    text = path.read_text(encoding="utf-8").replace("    lora: null\n", "" if "lora" in line else "    lora: null\n")
    path.write_text(f"{text}    {line}\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    (mistake,) = caught.value.mistakes
    assert mistake.partition(f"students.tiny.{line.partition(':')[0]}: ")[2].startswith(told)


LONG = [*TURNS, {"role": "user", "content": "and you?"}, {"role": "assistant", "content": "well"}]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["base: minilm"], "base: minilm is an encoder, which writes no text: name a causal language model"),
        (["base: org/model/x"], "base: 'org/model/x' is neither a folder here nor a name that the Hub could have"),
        (["base: my model"], "base: 'my model' is neither a folder here nor a name that the Hub could have"),
        (["base: ./model"], "base: there is no folder DIR/model"),
        (["base: bert"], "base: DIR/bert is an encoder (bert), which writes no text: name a causal language model"),
        (["base: masked"], "base: DIR/masked is a NewForMaskedLM, which writes no text: name a causal language model"),
        (["base: t5"], "base: DIR/t5 is an encoder with a decoder (t5): name a causal language model"),
        (["base: adapter"], "base: DIR/adapter holds an adapter, and a base is a whole model"),
        (["base: empty"], "base: DIR/empty holds no config.json: no model"),
        (
            ["base: llama", "lora: {targets: [all-linear]}", "quantization: nf4"],
            "lora.targets: all-linear is not known here: name the layers by the end of their names (q_proj); the default is all that a Llama has",
        ),
        (
            ["backend: unsloth"],
            "backend: unsloth cannot be used: it trains adapters here, and lora is null; set backend: auto",
        ),
        (
            ["base: llama", "lora: {}", "backend: unsloth", "precision: fp32"],
            "backend: unsloth cannot be used: it trains in 16 bits, and precision is fp32; set backend: auto",
        ),
    ],
)
def test_a_base_that_no_student_can_start_from(tmp_path, lines, told):
    configs = {
        "bert": {"model_type": "bert", "architectures": ["BertModel"]},
        "masked": {"model_type": "new", "architectures": ["NewForMaskedLM"]},
        "t5": {"model_type": "t5", "is_encoder_decoder": True},
        "llama": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    }
    for name, config in configs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("adapter", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}", encoding="utf-8")
    text = write(tmp_path, DESCRIPTION).read_text(encoding="utf-8")
    for line in lines:
        key = line.partition(":")[0]
        text = "".join(f"{old}\n" for old in text.splitlines() if not old.startswith(f"    {key}:")) + f"    {line}\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    (mistake,) = caught.value.mistakes
    assert mistake.partition("students.tiny.")[2].replace(str(tmp_path), "DIR") == told


@pytest.mark.parametrize("cell", [LONG, json.dumps(LONG), [{"from": t["role"], "value": t["content"]} for t in LONG]])
def test_a_conversation_of_several_questions_needs_the_chat_format(tmp_path, cell):
    chats = [{"messages": TURNS}] * 4 + [{"messages": cell}]
    told = mistakes(tmp_path, CHAT, chats=chats)
    assert told == [
        "10: students.tiny.format: think has one question and its answer; chats.jsonl:5 holds more: use format: chat"
    ]
    path = write(tmp_path, CHAT, chats=chats)
    assert load_recipe(path, ["students.tiny.format=chat"])
    waits = [*TURNS, {"role": "user", "content": "nobody answers this"}]
    system = [{"role": "system", "content": "be kind"}, *TURNS]
    assert load_recipe(write(tmp_path, CHAT, chats=[{"messages": one} for one in (waits, system, None, "x")]))


def test_nobody_needs_no_model(tmp_path):
    text = DESCRIPTION.replace("source:\n", "teacher: {provider: none}\nsource:\n")
    assert load_recipe(write(tmp_path, text)).teacher == load_recipe(write(tmp_path, DESCRIPTION)).teacher


def test_a_prompt_that_names_a_field_which_the_source_lacks(tmp_path):
    (tmp_path / "p.yaml").write_text(
        'version: 1\nuser: "{title} for {price}"\nanswer: {kind: reasoning}\n', encoding="utf-8"
    )
    with pytest.raises(
        RecipeError,
        match=r"p\.yaml:2: user: there is no field \{price\} in a row; a reasoning prompt may name \{title\}, \{description\}",
    ):
        load_recipe(write(tmp_path, REASONING.replace("product-reasoning", "p.yaml")))


def test_cells_of_which_no_row_can_come(tmp_path):
    rows = [{"title": "a", "content": ["b", "c"]}, {"title": "a", "content": {"b": 1}}, {"title": "a", "content": "b"}]
    told = mistakes(tmp_path, DESCRIPTION, products=rows)
    assert told == ["7: source.fields.description: row 2 of products.jsonl holds no text in 'content'"]
    told = mistakes(tmp_path, CHAT, chats=[{"messages": [{"speaker": "a", "text": "b"}]}] * 3)
    assert told == [
        "5: source.messages: the column 'messages' of chats.jsonl has turns with speaker, text: a conversation is a list "
        "of {role, content}, or of {from, value}"
    ]


def test_a_students_description_rows_need_both_fields(tmp_path):
    text = REASONING.replace("    description: content\n", "    text: content\n")
    (tmp_path / "p.yaml").write_text('version: 1\nuser: "{title}"\nanswer: {kind: reasoning}\n', encoding="utf-8")
    path = write(tmp_path, text.replace("product-reasoning", "p.yaml"))
    path.write_text(path.read_text(encoding="utf-8") + "    rows: description\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert [line.rpartition("r.yaml:")[2] for line in caught.value.mistakes] == [
        "22: students.tiny.rows: description rows need source.fields: {title: <column>, description: <column>}"
    ]


def test_filters_have_no_place_with_labels(tmp_path):
    from recipe_files import GOOD, write_recipe

    with pytest.raises(RecipeError, match=r"r\.yaml:4: filters: filters go with generative tasks"):
        load_recipe(write_recipe(tmp_path, text=GOOD.replace("source:\n", "filters: {grounded: false}\nsource:\n", 1)))


def told(made) -> dict[str, str]:
    return {line[:9].strip(): line[10:] for line in made.lines() if line[:9].strip()}


def test_a_plan_counts_the_fields_and_the_prompt(tmp_path):
    recipe = load_recipe(write(tmp_path, REASONING))
    made = make_plan(recipe, RunFolder(tmp_path / "run"))
    lines = told(made)
    assert lines["recipe"] == "small: reasoning"
    assert lines["rows"] == "up to 20 (14 train, 2 validation, 4 test) from products.jsonl"
    assert lines["calls"] == "20, one a row: 0 answered, 20 to ask"
    prompt = load_prompt(recipe)
    replies = [message.content for message in prompt.static if message.role == "assistant"]
    assert made.size.completion == pytest.approx(sum(len(reply.encode()) for reply in replies) / len(replies) / 4 + 4)
    rows = [{"title": f"Lamp {n}", "description": "A lamp of glass. " * 10} for n in range(20)]
    sizes = [sum(len(message.content.encode()) / 4 + 4 for message in prompt.render(row)) for row in rows]
    assert made.size.prompt == pytest.approx(sum(sizes) / 20)
    assert "never above 5.00 USD" in lines["cost"]


def test_rows_without_a_field_are_not_in_the_estimate_of_a_call(tmp_path):
    full = [{"title": "Lamp", "content": "A lamp of glass. " * 10}] * 3
    sizes = [
        make_plan(load_recipe(write(tmp_path, REASONING, products=rows)), RunFolder(tmp_path / "run")).size.prompt
        for rows in (full, full + [{"title": "x", "content": ""}] * 9)
    ]
    assert math.isclose(*sizes)


@pytest.mark.parametrize("text", [DESCRIPTION, CHAT])
def test_without_a_teacher_there_are_no_calls_and_no_cost(tmp_path, text):
    lines = told(make_plan(load_recipe(write(tmp_path, text)), RunFolder(tmp_path / "run")))
    assert lines["teacher"] == "none: nobody is asked"
    assert lines["calls"] == "none: the rows come from the source alone"
    assert (lines["tokens"], lines["cost"]) == ("none", "nothing")
    assert lines["rows"].startswith("up to ")
    assert lines["training"].startswith("tiny: ")


def test_notes_on_fields_and_keys_that_a_prompt_leaves_out(tmp_path):
    (tmp_path / "p.yaml").write_text(
        'version: 1\nsystem: Write Question and Response.\nuser: "{title}"\nanswer: {kind: reasoning}\n',
        encoding="utf-8",
    )
    made = make_plan(
        load_recipe(write(tmp_path, REASONING.replace("product-reasoning", "p.yaml"))), RunFolder(tmp_path / "run")
    )
    assert made.notes[:2] == [
        "the prompt never names the key Complex_CoT: a teacher may not know what to write",
        "the prompt never shows description: its answers are checked against it all the same",
    ]

"""The rows stage of the generative tasks: description and chat without a teacher, reasoning with recorded replies."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import pytest

from recipes.chat import Reply, Usage
from recipes.load import load_recipe
from recipes.prompts import load_prompt
from recipes.rows import SPLITS, Reject, ResponseRow, Turn, read_rows
from recipes.runs import RunFolder
from synth import build as build_module
from synth.build import build_dataset
from synth.examples import Examples
from synth.journal import Failure, Journal
from synth.tasks.reasoning import ReasoningTask

STUDENTS = "students: {s: {kind: causal, base: scratch, format: chat, lora: null, quantization: none}}\n"
DESCRIPTION = """\
name: small
task: description
source:
  path: trn.json.gz
  fields: {title: title, description: content}
  id: uid
  test: 2
  validation: 0.25
filters: {min_response_chars: 1}
"""
CHAT = """\
name: small
task: chat
source: {path: chats.jsonl, messages: messages, test: 1, validation: 0}
filters: {min_response_chars: 1}
"""
REASONING = """\
name: small
task: reasoning
source: {path: products.jsonl, fields: {title: title, description: content}, id: uid, test: 2, validation: 0.25}
teacher: {provider: recorded, model: m, journal: replies.jsonl, price: {input: 1, output: 2}}
synthesis: {prompt: product-reasoning, reask: 1}
"""
NOUNS = ["kettle", "lamp", "atlas", "tent", "drill", "violin", "puzzle", "rug"]


def write(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def build(folder, recipe, overrides=()):
    (folder / "small.yaml").write_text(recipe + STUDENTS, encoding="utf-8")
    run = RunFolder(folder / "run")
    manifest = build_dataset(load_recipe(folder / "small.yaml", overrides), run)
    rows = [row for split in SPLITS for row in read_rows(run.rows / f"{split}.jsonl", ResponseRow)]
    return run, manifest, {row.id: row for row in rows}, list(read_rows(run.rows / "rejects.jsonl", Reject))


def products(count=8):
    return [
        {
            "uid": f"p{n}",
            "title": f"{NOUNS[n % 8].title()} No. {n}",
            "content": f"A {NOUNS[n % 8]} of {n} &amp; more.<br/>é!",
        }
        for n in range(count)
    ]


def test_descriptions_are_streamed_out_of_amazon_titles(tmp_path):
    extra = [{"uid": "e1", "title": "", "content": "x"}, {"uid": "e2", "title": "t", "content": "<br/>"}]
    write(tmp_path / "trn.json.gz", [*products(), *extra, {**products()[0], "uid": "again"}])
    run, manifest, rows, rejects = build(tmp_path, DESCRIPTION)
    assert Counter(row.split for row in rows.values()) == {"train": 4, "validation": 2, "test": 2}
    assert rows["p3"] == ResponseRow(
        id="p3", split=rows["p3"].split, group=rows["p3"].group, question="Tent No. 3",
        response="A tent of 3 & more. é!", fields={"title": "Tent No. 3", "description": "A tent of 3 & more. é!"},
    )  # fmt: skip
    assert {row.id: (row.reason, row.stage) for row in rejects} == {
        "e1": ("empty_title", "source"), "e2": ("empty_description", "source"), "again": ("duplicate", "source"),
    }  # fmt: skip
    facts = manifest.facts
    assert (facts["read"], facts["unfit"], facts["asked"], facts["kept"], facts["rejected"]) == (11, 3, 8, 8, 0)
    assert facts["rows"] == {"train": {"rows": 4}, "validation": {"rows": 2}, "test": {"rows": 2}}
    assert not run.journal.exists()
    card = (run.rows / "README.md").read_text(encoding="utf-8")
    assert "| train | 4 |" in card
    assert "- No teacher was asked: titles and descriptions are the source's own, cleaned of markup." in card
    assert "`question` is the title and `response` the description" in card
    assert "copied" not in card
    _nothing_raw(card)


def _nothing_raw(card):
    """No word of Python's in a text for people."""
    assert not re.search(r"None|\{|\[|'", card.split("---", 2)[2].replace("source's", "")), card


def test_a_task_without_a_teacher_opens_no_journal(tmp_path, monkeypatch, capsys):
    write(tmp_path / "trn.json.gz", products())
    monkeypatch.setattr(build_module.Journal, "open", lambda *_, **__: pytest.fail("a journal was opened"))
    build(tmp_path, DESCRIPTION)
    assert "8 kept (4 train, 2 validation, 2 test), 0 rejected" in capsys.readouterr().err
    build(tmp_path, DESCRIPTION)
    assert "up to date" in capsys.readouterr().err
    _, manifest, _, _ = build(tmp_path, DESCRIPTION, ["filters.min_response_chars=2"])
    assert "filters changed" in capsys.readouterr().err
    assert manifest.complete


def test_descriptions_may_be_lists_of_texts(tmp_path):
    rows = [{**row, "content": [row["content"], "more"]} for row in products()]
    write(tmp_path / "trn.json.gz", rows)
    assert build(tmp_path, DESCRIPTION)[2]["p1"].response == "A lamp of 1 & more. é! more"


def test_conversations_become_rows_with_their_history(tmp_path):
    talks = [
        [("system", "Be brief."), ("user", f"{noun}?"), ("assistant", "Which one?"), ("user", f"The {noun}"),
         ("assistant", f"<think>hm</think>Take\n  the {noun}.")]
        for noun in NOUNS[:4]
    ]  # fmt: skip
    rows = [{"messages": [{"role": role, "content": content} for role, content in talk]} for talk in talks]
    rows += [{"messages": [{"role": "user", "content": "no answer"}]}, {"messages": None}, rows[0]]
    rows += [{"messages": [*rows[1]["messages"][:-1], {"role": "assistant", "content": "Another answer."}]}]
    write(tmp_path / "chats.jsonl", rows)
    _, manifest, found, rejects = build(tmp_path, CHAT)
    assert [row.reason for row in rejects] == ["no_response", "bad_messages", "duplicate"]
    assert manifest.facts["kept"] == 5
    lamp = next(row for row in found.values() if row.response == "Take\n  the lamp.")
    assert (lamp.question, lamp.reasoning, lamp.fields) == ("The lamp", "hm", {})
    assert lamp.history == (
        Turn(role="system", content="Be brief."),
        Turn(role="user", content="lamp?"),
        Turn(role="assistant", content="Which one?"),
    )
    other = next(row for row in found.values() if row.response == "Another answer.")
    assert (other.group, other.split) == (lamp.group, lamp.split)  # the same question is never on two sides


def test_turns_that_are_not_learnt_are_counted_and_said(tmp_path, capsys):
    def talk(noun, *more):
        said = [("user", f"A {noun}?"), ("assistant", f"One {noun}."), ("user", f"Big {noun}?"), ("assistant", noun)]
        return {"messages": [{"role": role, "content": content} for role, content in (*said, *more)]}

    rows = [talk(NOUNS[0]), talk(NOUNS[1], ("user", "And?")), talk(NOUNS[2], ("user", "Oh"), ("user", "well"))]
    write(tmp_path / "chats.jsonl", [*rows, {"messages": rows[0]["messages"][1:]}])
    recipe = CHAT.replace("test: 1", "test: 0")
    run, manifest, found, _ = build(tmp_path, recipe)
    assert sorted(row.response for row in found.values()) == sorted(NOUNS[:3])
    assert manifest.facts["turns"] == {"earlier_answers": 3, "cut_conversations": 2, "left_out": 3}
    told = (
        "the last answer is learnt; 3 earlier answers are history, 3 turns at the end of 2 have no answer and are left"
    )
    assert f"rows: of conversations, {told} out" in capsys.readouterr().err
    card = (run.rows / "README.md").read_text(encoding="utf-8")
    assert f"Of conversations, {told} out." in card
    assert "`fields` is empty" in card and "bad_roles 1" in card
    assert "- No teacher was asked: questions and responses are the source's own." in card
    _nothing_raw(card)
    write(tmp_path / "chats.jsonl", [{"messages": row["messages"][:2]} for row in rows])
    assert not any(build(tmp_path, recipe)[1].facts["turns"].values())
    assert "of conversations" not in capsys.readouterr().err


def test_a_conversation_that_is_none_is_rejected_as_json(tmp_path):
    long = [{"role": "tool", "content": "é" * 50_000}, {"role": "user", "content": "short"}]
    many = [{"role": "user", "content": "hello"}] * 2_000
    cells = [[{"role": "tool", "content": 'it\'s "x"'}], None, {"a": 1.5, "b": [True]}, long, many, "no JSON", '["a"]']
    good = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    write(tmp_path / "chats.jsonl", [{"messages": cell} for cell in [*cells, good]])
    rejects = build(tmp_path, CHAT.replace("test: 1", "test: 0"))[3]
    texts = [row.text for row in rejects]
    assert [json.loads(text) for text in texts[:3]] == cells[:3]
    assert [json.loads(texts[3])[1], json.loads(texts[3])[0]["role"]] == [long[1], "tool"]
    assert json.loads(texts[4]).startswith('[{"role": "user"')
    assert texts[5:] == cells[5:]
    assert max(map(len, texts)) <= 20_000


def test_a_conversation_stored_turn_by_turn_stays_on_one_side(tmp_path):
    """Each row is the one before with a question and an answer more; the system message may differ."""
    rows = []
    for noun in NOUNS:
        said = [{"role": "system", "content": f"You sell a {noun}."}]
        for turn in range(4):
            words = " ".join(f"{noun}{turn}{n}" for n in range(30))
            said += [{"role": "user", "content": f"ask {words}"}, {"role": "assistant", "content": f"say {words}"}]
            rows.append({"messages": said[0 if turn else 1 :]})
    write(tmp_path / "chats.jsonl", rows)
    _, _, found, _ = build(tmp_path, CHAT.replace("test: 1, validation: 0", "test: 8, validation: 0.2"))
    sides = Counter(row.split for row in found.values())
    assert (sides.total(), sides["test"]) == (32, 8)
    answers = {row.response: row.split for row in found.values()}
    for row in found.values():
        told = [turn.content for turn in row.history if turn.role == "assistant"]
        assert {answers[content] for content in told} <= {row.split}
    assert len({row.group for row in found.values()}) == len(NOUNS)


def test_the_published_reasoning_data_set_is_a_chat(tmp_path):
    fields = "fields: {question: Question, reasoning: Complex_CoT, response: Response, shop: shop}"
    rows = [
        {"Question": f"A {noun}?", "Complex_CoT": f"I weigh\nthe {noun}.", "Response": f"The {noun} <3", "shop": "x"}
        for noun in NOUNS
    ]
    write(
        tmp_path / "chats.jsonl",
        [*rows, {**rows[0], "Question": "And?", "Complex_CoT": ""}, {**rows[0], "Response": ""}],
    )
    _, _, found, rejects = build(tmp_path, CHAT.replace("messages: messages", fields))
    lamp = next(row for row in found.values() if row.question == "A lamp?")
    assert (lamp.reasoning, lamp.response, lamp.fields) == ("I weigh\nthe lamp.", "The lamp <3", {"shop": "x"})
    assert next(row for row in found.values() if row.question == "And?").reasoning is None
    assert [row.reason for row in rejects] == ["empty_response"]


def good(noun, **changes):
    reasoning = (
        f"The shopper wants a {noun}. This one is a {noun}, so it fits; nothing speaks against it, and it is small."
    )
    whole = {
        "Question": f"Which {noun}?",
        "Complex_CoT": reasoning,
        "Response": f"Take the {noun}, it is fine.",
        **changes,
    }
    return json.dumps(whole)


def record(folder, answers, overrides=()):
    """Put replies on record: id -> replies in the order of asking (others get a good one)."""
    (folder / "small.yaml").write_text(REASONING + STUDENTS, encoding="utf-8")
    (folder / "replies.jsonl").touch()
    recipe = load_recipe(folder / "small.yaml", overrides)
    task = ReasoningTask(recipe, load_prompt(recipe))
    asked = []
    with Examples(recipe.source) as examples, Journal.open(folder / "replies.jsonl") as journal:
        examples.read(recipe)
        for example in examples.stream():
            for reply in answers.get(example.id, [good(NOUNS[int(example.id[1:]) % 8])]):
                found = reply if isinstance(reply, Failure | Reply) else Reply(reply, usage=Usage(100, 0, 10))
                for request in task.advance(example, lambda request: journal.get(request.key()))[0]:
                    asked.append(request)
                    journal.put(request.key(), example.id, found)
    return asked


def test_reasoning_rows_come_from_the_replies_and_their_fields_from_the_source(tmp_path):
    write(tmp_path / "products.jsonl", products())
    bad = {
        "p0": ["{broken", good("kettle").replace("Complex_CoT", "complex cot")],
        "p1": ["nope", "nope"],
        "p2": [good("atlas", Response=["a"]), good("atlas", Response="  ")],
        "p3": [Reply(good("tent")[:-9], finish_reason="length"), Reply(good("tent")[:-9], finish_reason="length")],
        "p4": ["I'm sorry, but I cannot help with that."],
        "p5": [Failure("rejected", "400: too long")],
        "p6": [],
    }
    record(tmp_path, bad)
    _, manifest, rows, rejects = build(tmp_path, REASONING)
    assert {row.id: row.reason for row in rejects} == {
        "p1": "malformed", "p2": "empty_response", "p3": "truncated", "p4": "refused", "p5": "teacher_failed",
        "p6": "not_recorded",
    }  # fmt: skip
    assert all(row.text.startswith(NOUNS[int(row.id[1])].title()) for row in rejects)
    assert rejects[0].reply == "nope"
    assert {id: row.outcome for id, row in rows.items()} == {"p0": "repaired", "p7": "clean"}
    rug = rows["p7"]
    assert (rug.question, rug.response) == ("Which rug?", "Take the rug, it is fine.")
    assert rug.reasoning.startswith("The shopper wants a rug.")
    assert rug.fields == {"title": "Rug No. 7", "description": "A rug of 7 & more. é!"}
    facts = manifest.facts
    assert facts["asked"] == facts["kept"] + facts["rejected"] == 8
    assert (facts["replies"], facts["asked_again"], facts["outcomes"]) == (10, 4, {"repaired": 1, "clean": 1})
    assert facts["usd"] == pytest.approx(10 * 120 / 1e6, rel=0.2)


def test_reasoning_that_was_cut_off_is_no_missing_key(tmp_path):
    write(tmp_path / "products.jsonl", products())
    cut = {
        "p1": [Reply(good("lamp")[:90], "stop", Usage(9, 0, 1024))],
        "p2": [Reply(good("atlas")[:90], "length", Usage(9, 0, 1024))],
        "p3": [Reply("<think>so", "stop", Usage(9, 0, 1024))],
        "p4": [Reply("<think>so", "stop", Usage(9, 0, 8))],
    }
    record(tmp_path, cut, ["synthesis.reask=0"])
    rejects = build(tmp_path, REASONING, ["synthesis.reask=0"])[3]
    assert {row.reason for row in rejects} == {"truncated"}
    raised = "at 1,024 tokens: raise teacher.max_tokens (1,024)"
    assert [row.detail for row in rejects[:3]] == [
        f"the reply breaks off inside its JSON object {raised}",
        f"the reply was cut off {raised}",
        f"the reply breaks off inside <think> {raised}",
    ]
    assert rejects[3].detail.startswith(
        "the reply breaks off inside <think> at 8 tokens, though teacher.max_tokens is 1"
    )


def test_what_was_wrong_is_shown_and_the_question_stands_at_the_end(tmp_path):
    write(tmp_path / "products.jsonl", products())
    first, again = record(
        tmp_path, {f"p{n}": [good("x", Complex_CoT=["a"]), good("x")] if n == 3 else [] for n in range(8)}
    )
    assert [message.role for message in first.messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert first.messages[-1].content == "Title: Tent No. 3\nDescription: A tent of 3 & more. é!"
    assert again.messages[: len(first.messages)] == first.messages
    assert again.messages[-1].content == (
        'That answer cannot be used: "Complex_CoT" must be one text, got a list. Answer again with one JSON object '
        'with "Question", "Complex_CoT", "Response", each a text that is not empty, and nothing around it.\n\n'
        "Title: Tent No. 3\nDescription: A tent of 3 & more. é!"
    )
    assert first.response_format == {"type": "json_object"}


def test_a_schema_asks_for_the_three_keys_in_their_order(tmp_path):
    write(tmp_path / "products.jsonl", products())
    [request, *_] = record(tmp_path, {}, ["synthesis.output=json_schema"])
    schema = request.response_format["json_schema"]["schema"]
    assert list(schema["properties"]) == ["Question", "Complex_CoT", "Response"] == schema["required"]
    (tmp_path / "replies.jsonl").unlink()
    assert record(tmp_path, {}, ["synthesis.output=text"])[0].response_format is None

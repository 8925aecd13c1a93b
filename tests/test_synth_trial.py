"""The trial: asking stops early where next to nothing can be kept, and what is counted while replies come in."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from stubs import TeacherStub

import synth.ask
from recipes.chat import Reply, Usage
from recipes.errors import TeacherError
from recipes.load import load_recipe
from recipes.rows import Reject, ResponseRow, read_rows
from recipes.runs import RunFolder
from synth import pump
from synth.build import build_dataset
from synth.journal import Journal
from synth.progress import Progress
from synth.trial import PER_KEPT, Trial

LABELS = """\
name: small
task: classify
labels: [bad, good]
source: {path: rows.jsonl, text: text, id: id, test: 0, validation: 0}
teacher: {provider: endpoint, base_url: "http://127.0.0.1:9/v1", model: m, price: {input: 1, output: 1}}
synthesis: {prompt: ./prompt.yaml, reask: 1, budget_usd: 9}
students: {s: {kind: classifier, base: minilm}}
"""
WORD = 'version: 1\nsystem: Is it good or bad?\nuser: "{text}"\nanswer: {kind: word}\n'
REASONING = """\
name: small
task: reasoning
source: {path: rows.jsonl, fields: {text: text}, id: id, test: 0, validation: 0}
teacher: {provider: endpoint, base_url: "http://127.0.0.1:9/v1", model: m, price: {input: 1, output: 1}}
synthesis: {prompt: ./prompt.yaml, budget_usd: 9}
students: {s: {kind: causal, base: scratch, format: alpaca, lora: null, quantization: none}}
"""
JSON = 'version: 1\nsystem: Question, Complex_CoT and Response as JSON\nuser: "{text}"\nanswer: {kind: reasoning}\n'


@pytest.fixture
def said(monkeypatch):
    """What the teacher is asked, in order; `said.answer` is its reply to a last message."""

    class Said(list):
        answer = staticmethod(lambda text: "good")

        async def complete(self, request):
            self.append(request.messages[-1].content)
            return Reply(self.answer(self[-1]), usage=Usage(10, 0, 5))

    said = Said()

    @asynccontextmanager
    async def opened(*_):
        yield said

    monkeypatch.setattr(synth.ask, "open_teacher", opened)
    return said


def folder(path, recipe=LABELS, prompt=WORD, rows=100):
    (path / "small.yaml").write_text(recipe, encoding="utf-8")
    (path / "prompt.yaml").write_text(prompt, encoding="utf-8")
    texts = [{"id": f"r{n}", "text": f"row {n} of them"} for n in range(rows)]
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    return path


def build(path, *overrides):
    return build_dataset(load_recipe(path / "small.yaml", overrides), RunFolder(path / "run"), yes=True).facts


def reject(reason="malformed", id="r1", reply="?"):
    return Reject(id=id, text="t", split="train", stage="teacher", reason=reason, detail="why", reply=reply)


KEPT = ResponseRow(id="k", split="train", group="g", question="q", response="r")


def test_a_trial_fails_where_none_of_twenty_or_one_of_forty_is_kept():
    trial = Trial(1000)
    assert [trial.fails(reject()) for _ in range(PER_KEPT)] == [False] * (PER_KEPT - 1) + [True]
    assert not trial.fails(reject()), "once"
    trial = Trial(1000)
    assert not any(trial.fails(row) for row in [*[reject()] * 19, KEPT, *[reject()] * 19])
    assert trial.fails(reject())


def test_two_kept_rows_end_it():
    trial = Trial(1000)
    assert not any(trial.fails(row) for row in [*[reject()] * 19, KEPT, *[reject()] * 19, KEPT, *[reject()] * 99])


def test_what_got_no_reply_and_runs_of_few_rows_are_no_trial():
    trial = Trial(1000)
    assert not any(trial.fails(reject("teacher_failed", reply=None)) for _ in range(99))
    assert not any(Trial(39).fails(reject()) for _ in range(39))
    assert not any(Trial(1000, held=True).fails(reject()) for _ in range(99))


def test_no_more_is_on_its_way_than_it_takes_to_tell():
    trial = Trial(1000)
    assert trial.most_open() == PER_KEPT
    trial.fails(reject())
    assert trial.most_open() == PER_KEPT - 1
    trial.fails(KEPT)
    assert trial.most_open() == 2 * PER_KEPT - 2
    trial.fails(KEPT)
    assert trial.most_open() == float("inf")
    assert Trial(1000, paid=False).most_open() == float("inf"), "a teacher of one's own costs time alone"


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ("no idea what this is", r"20 are rejected as malformed, e\.g\. r\d+ \(.*\): compare what the prompt asks for"),
        ("mixed", r"20 are rejected as unknown_label, e\.g\. r\d+ \(.*got 'mixed'\): name the labels in the prompt"),
        (" ", r"20 are rejected as empty, e\.g\. r\d+ \(the reply is empty\): look at what the server sends"),
        ("I'm sorry, I cannot label that.", r"20 are rejected as refused"),
    ],
)
def test_labels_that_cannot_be_read_stop_the_asking(tmp_path, said, reply, sentence):
    said.answer = lambda text: reply
    with pytest.raises(TeacherError, match=f"asking stopped: none of the first 20 rows can be kept, and {sentence}"):
        build(folder(tmp_path))
    assert len(said) <= 2 * PER_KEPT
    with Journal.open(tmp_path / "run" / "journal.jsonl") as journal:
        assert journal.replies == len(said), "what was paid is kept"
    assert not (tmp_path / "run" / "rows").exists()


def test_the_same_command_goes_on_and_a_changed_recipe_is_tried_anew(tmp_path, said, capsys):
    said.answer = lambda text: "mixed"
    for prompt in (WORD, WORD.replace("Is it", "Is this")):
        folder(tmp_path, prompt=prompt)
        with pytest.raises(TeacherError, match=r"journal\.jsonl; with nothing changed the same command stops"):
            build(tmp_path)
        assert "--yes says to go on" not in capsys.readouterr().err
    paid = len(said)
    assert build(tmp_path)["reasons"] == {"unknown_label": 100}
    assert (
        "rows: the first rows of this recipe were nearly all rejected; --yes says to go on" in capsys.readouterr().err
    )
    assert len(said) == paid + 2 * 80, "the first 20 are on record"


def test_of_a_teacher_of_ones_own_too_only_the_rows_on_trial_are_asked_about_again(tmp_path):
    folder(tmp_path, rows=300)
    asked = []
    with TeacherStub(lambda body: asked.append(len(body["messages"])) or "mixed", latency=0.05) as stub:
        free = [f"teacher={{provider: endpoint, model: m, base_url: '{stub.url}'}}", "synthesis.budget_usd=null"]
        with pytest.raises(TeacherError, match="none of the first 20 rows can be kept"):
            build(tmp_path, *free)
        assert 64 <= asked.count(2) <= 66, "rows are begun freely, until the first reply is asked for again"
        assert asked.count(4) == PER_KEPT, "and asked about again for the verdict alone"


def test_questions_wait_to_be_asked_again_until_the_trial_is_decided(tmp_path):
    folder(tmp_path, rows=300)

    def answer(body):
        return "good" if len(body["messages"]) > 2 else "mixed"

    with TeacherStub(answer) as stub:
        free = [f"teacher={{provider: endpoint, model: m, base_url: '{stub.url}'}}", "synthesis.budget_usd=null"]
        assert build(tmp_path, *free)["kept"] == 300
        assert stub.asked.total() == 600


def test_without_a_yes_the_same_command_stops_again_and_asks_nobody(tmp_path, said):
    said.answer = lambda text: "mixed"
    folder(tmp_path)
    for run in range(2):
        with pytest.raises(
            TeacherError, match="stops here again, and goes on with --yes; where the teacher was mended"
        ):
            build_dataset(load_recipe(tmp_path / "small.yaml"), RunFolder(tmp_path / "run"), yes=not run)
        assert len(said) == 2 * PER_KEPT


def test_a_teacher_mended_on_its_own_side_is_tried_anew(tmp_path, said):
    said.answer = lambda text: "mixed"
    for _ in range(2):
        with pytest.raises(TeacherError, match="none of the first 20 rows can be kept"):
            build_dataset(load_recipe(folder(tmp_path) / "small.yaml"), RunFolder(tmp_path / "run"), True, True)
    assert len(said) == 4 * PER_KEPT, "each time the first 20 are asked about, and no more"
    said.answer = lambda text: "good"
    facts = build_dataset(load_recipe(tmp_path / "small.yaml"), RunFolder(tmp_path / "run"), True, True).facts
    assert (facts["kept"], len(said)) == (100, 4 * PER_KEPT + 100)


def test_a_filter_that_rejects_all_that_is_on_record_costs_no_call(tmp_path, said):
    said.answer = lambda text: '{"reason": "why", "label": "good"}'
    prompt = WORD.replace("{kind: word}", "{kind: json, rationale: reason}").replace("bad?", "bad? reason, label")
    build(folder(tmp_path, prompt=prompt, rows=50))
    folder(tmp_path, prompt=prompt)
    said.clear()
    with pytest.raises(
        TeacherError, match=r"short_rationale, e\.g\. r0 \(3 of 99 characters\): ask for longer reasons"
    ):
        build(tmp_path, "synthesis.min_rationale_chars=99")
    assert not said
    assert build(tmp_path)["kept"] == 100


def thought(text, reasoning="It is said so plainly in the text that nothing else can be meant by it, " * 2):
    number = text.split()[1]
    answer = {"Question": f"What is {number}?", "Complex_CoT": reasoning, "Response": f"It is row {number}, and fine."}
    return json.dumps(answer)


def test_reasoning_that_the_filters_reject_stops_the_asking_and_can_be_let_through(tmp_path, said):
    said.answer = lambda text: thought(text, "As it is.")
    path = folder(tmp_path, REASONING, JSON, rows=60)
    with pytest.raises(
        TeacherError, match=r"20 are rejected as short_reasoning, e\.g\. r\d+ \(9 of 80 characters\): ask for longer"
    ):
        build(path)
    assert len(said) == PER_KEPT
    overrides = ("filters.min_reasoning_chars=5", "filters.near_duplicate=null")
    assert build(path, *overrides)["kept"] == 60
    assert len(said) == 60, "nothing is asked twice"


def test_answers_that_are_all_the_same_stop_the_asking(tmp_path, said):
    said.answer = lambda text: thought("row 7 is asked about")
    with pytest.raises(
        TeacherError, match=r"1 of the first 40 rows can be kept, and 39 are rejected as near_duplicate"
    ):
        build(folder(tmp_path, REASONING, JSON))


def test_rows_are_counted_as_they_will_be_written(tmp_path, said, monkeypatch):
    shown = []

    class Kept(Progress):
        def __exit__(self, *error):
            shown.append((self.kept, dict(self.rejected)))
            super().__exit__(*error)

    monkeypatch.setattr(synth.ask, "Progress", Kept)
    poor = {3: "As it is.", 5: "The provided context says so. " * 4, 6: ""}
    said.answer = lambda text: thought(text, *([poor[n]] if (n := int(text.split()[1]) % 10) in poor else []))
    facts = build(folder(tmp_path, REASONING, JSON, rows=40), "synthesis.reask=0", "filters.near_duplicate=null")
    assert shown == [(28, {"short_reasoning": 4, "meta_talk": 4, "empty_reasoning": 4})]
    assert (facts["kept"], facts["reasons"]) == shown[0]


def test_calls_on_their_way_are_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pump, "GRACE_SECONDS", 0.0)
    with TeacherStub(lambda body: "mixed", latency=0.05) as stub:
        with pytest.raises(TeacherError, match="unknown_label"):
            build(folder(tmp_path), f"teacher.base_url={stub.url}", "synthesis.reask=0", "teacher.concurrency=16")
        with Journal.open(tmp_path / "run" / "journal.jsonl") as journal:
            assert PER_KEPT <= journal.replies == stub.asked.total() <= 2 * PER_KEPT


def test_a_finished_run_is_written_again_with_nobody_to_ask(tmp_path, said, monkeypatch):
    path = folder(tmp_path)
    facts = build(path)
    (tmp_path / "run" / "manifests" / "rows.json").unlink()
    monkeypatch.setattr(synth.ask, "ask_teacher", lambda *_: pytest.fail("somebody was asked"))
    assert build(path) == facts
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    last = [line for line in lines if b'"kind":"reply"' in line][-1]
    lines[lines.index(last)] = next(line for line in lines if b'"kind":"reply"' in line)  # as many replies, not all
    journal.write_bytes(b"".join(lines))
    (tmp_path / "run" / "manifests" / "rows.json").unlink()
    kept = list(read_rows(tmp_path / "run" / "rows" / "rejects.jsonl", Reject))
    with pytest.raises(pytest.fail.Exception, match="somebody was asked"):
        build(path)
    assert not list((tmp_path / "run" / "rows").glob("*.partial"))
    assert list(read_rows(tmp_path / "run" / "rows" / "rejects.jsonl", Reject)) == kept

"""Asking: what is asked again after a change, and what is not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from stubs import TeacherStub

import recipes.stages
import synth.ask
from recipes.chat import Reply, Usage
from recipes.errors import SourceError, TeacherError
from recipes.load import load_recipe
from recipes.plan import make_plan
from recipes.prompts import SHIPPED
from recipes.rows import SPLITS, LabelRow, Reject, read_rows
from recipes.runs import RunFolder
from synth.__main__ import main
from synth.build import build_dataset
from synth.faults import Fault
from synth.journal import Journal

RECIPE = """\
name: small
task: classify
labels: [negative, neutral, positive]
source: {path: rows.jsonl, text: text, test: 2, validation: 0}
teacher: {provider: endpoint, base_url: "http://127.0.0.1:9/v1", model: m, retries: 0, concurrency: 4}
synthesis: {prompt: ./prompt.yaml, reask: 1}
students: {s: {kind: classifier, base: minilm}}
"""


class Teacher:
    """Answers in the process. `say`: last message -> reply, by what it contains; anything else is `positive`."""

    def __init__(self):
        self.asked = []
        self.say = {}

    async def complete(self, request):
        last = request.messages[-1].content
        self.asked.append(last)
        reply = next((reply for part, reply in self.say.items() if part in last), None)
        if isinstance(reply, Fault):
            raise reply
        return Reply(reply or json.dumps({"reason": "because", "label": "positive"}), usage=Usage(1000, 0, 500))


@pytest.fixture
def teacher(monkeypatch):
    teacher = Teacher()

    @asynccontextmanager
    async def opened(*_):
        yield teacher

    monkeypatch.setattr(synth.ask, "open_teacher", opened)
    return teacher


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "prompt.yaml").write_bytes((SHIPPED / "sentiment-rationale.yaml").read_bytes())
    write_rows(tmp_path, 10)
    return tmp_path


def write_rows(folder: Path, count: int) -> None:
    rows = [{"text": f"text number {n}"} for n in range(count)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def build(folder, teacher, overrides=()):
    """Build, and return the manifest, the rows and rejects by id, and what was asked for it."""
    teacher.asked.clear()
    run = RunFolder(folder / "run")
    manifest = build_dataset(load_recipe(folder / "small.yaml", overrides), run, yes=True)
    rows = {row.text: row for split in SPLITS for row in read_rows(run.rows / f"{split}.jsonl", LabelRow)}
    rejects = {row.text: row for row in read_rows(run.rows / "rejects.jsonl", Reject)}
    return manifest, rows, rejects, list(teacher.asked)


def test_nothing_is_asked_twice(folder, teacher):
    manifest, rows, _, asked = build(folder, teacher)
    assert (len(asked), len(rows), manifest.facts["asked"]) == (10, 10, 10)
    (folder / "run" / "manifests" / "rows.json").unlink()
    _, again, _, asked = build(folder, teacher)
    assert asked == []
    assert again == rows


def test_a_changed_parser_reads_the_journal_again(folder, teacher, monkeypatch):
    build(folder, teacher)
    monkeypatch.setattr(recipes.stages, "ROWS_VERSION", 99)
    monkeypatch.setattr(synth.tasks.labels, "parse_answer", _contrary)
    _, rows, _, asked = build(folder, teacher)
    assert asked == []
    assert {row.label for row in rows.values()} == {"negative"}


def _contrary(reply, answer, labels):
    from recipes.answers import Answer

    return Answer("negative", "reparsed", "clean")


def test_a_new_row_asks_for_itself_alone(folder, teacher):
    build(folder, teacher)
    write_rows(folder, 11)
    _, rows, _, asked = build(folder, teacher)
    assert asked == ["Tweet: text number 10"]
    assert len(rows) == 11


def test_a_changed_prompt_asks_again(folder, teacher):
    build(folder, teacher)
    prompt = folder / "prompt.yaml"
    prompt.write_text(prompt.read_text(encoding="utf-8").replace("Judge the text alone.", "Judge it alone."), "utf-8")
    assert len(build(folder, teacher)[3]) == 10


def test_more_votes_ask_for_the_new_votes_only(folder, teacher):
    build(folder, teacher)
    _, rows, _, asked = build(folder, teacher, ["synthesis.votes=3"])
    assert len(asked) == 20
    assert {row.votes for row in rows.values()} == {("positive",) * 3}


def test_a_bad_reply_is_asked_again_once_and_then_rejected(folder, teacher):
    teacher.say = {"number 3": "no idea", "number 4": "no idea", "cannot be used": "still no idea"}
    manifest, rows, rejects, asked = build(folder, teacher)
    assert len(asked) == 12
    assert {text: row.reason for text, row in rejects.items()} == dict.fromkeys(
        ["text number 3", "text number 4"], "malformed"
    )
    assert len(rows) == 8
    assert manifest.facts["asked_again"] == 2


def test_failures_that_pass_are_asked_again_next_time(folder, teacher, capsys):
    teacher.say = {"number 3": Fault("timeout", "no answer within 1 s")}
    manifest, rows, rejects, _ = build(folder, teacher)
    assert not manifest.complete
    assert len(rows) == 9
    assert rejects["text number 3"].detail == "timeout: no answer within 1 s"
    failed = "1 requests failed for a passing reason, most of them as timeout: no answer within 1 s; the same command"
    assert failed in capsys.readouterr().err
    teacher.say = {}
    manifest, rows, rejects, asked = build(folder, teacher)
    assert (asked, len(rows), rejects, manifest.complete) == (["Tweet: text number 3"], 10, {}, True)


def test_the_budget_is_kept_and_rows_are_not_written_half(folder, teacher):
    from recipes.errors import BudgetError

    price = ["teacher.price={input: 1000, output: 1000}", "synthesis.budget_usd=12"]
    with pytest.raises(BudgetError, match=r"or lower source\.train and source\.test: \d of 10 rows are answered"):
        build(folder, teacher, price)
    assert not (folder / "run" / "rows").exists()
    assert 0 < 1.5 * len(teacher.asked) <= 12
    paid = set(teacher.asked)
    _, rows, _, asked = build(folder, teacher, [price[0], "synthesis.budget_usd=1000"])
    assert len(rows) == 10
    assert not paid & set(asked)


def _answer(body):
    """By the text's number: most are fine, some must be repaired, asked again, or never work."""
    last = body["messages"][-1]["content"]
    number = int(last.rsplit(" ", 1)[-1]) if last.startswith("Tweet:") else 5
    good = json.dumps({"reason": "because", "label": "neutral"})
    return [good, good, good, f"```json\n{good}\n```", "what?", good, "I'm sorry, I can't help with that."][number % 7]


def test_no_row_is_lost_over_http_with_faults(folder):
    faults = {"429": 0.05, "429_plain": 0.03, "500": 0.04, "reset": 0.03, "cut": 0.03, "empty": 0.02}
    write_rows(folder, 140)
    with TeacherStub(_answer, faults, seed=4) as stub:
        address = [f"teacher.base_url={stub.url}", "teacher.retries=10", "teacher.concurrency=16"]
        run = RunFolder(folder / "run")
        manifest = build_dataset(load_recipe(folder / "small.yaml", address), run)
    kept = [row for split in SPLITS for row in read_rows(run.rows / f"{split}.jsonl", LabelRow)]
    rejects = list(read_rows(run.rows / "rejects.jsonl", Reject))
    assert len({row.id for row in (*kept, *rejects)}) == len(kept) + len(rejects) == 140
    assert manifest.facts["reasons"] == {"refused": 20}
    assert (manifest.facts["outcomes"], manifest.facts["asked_again"]) == ({"clean": 100, "repaired": 20}, 20)
    assert manifest.complete
    assert stub.answered.total() <= 1.35 * 160


def test_a_killed_build_goes_on_where_it_was(folder):
    write_rows(folder, 120)
    with TeacherStub(_answer, latency=0.02) as stub:
        command = [sys.executable, "-m", "synth", str(folder / "small.yaml"), "--run", str(folder / "run"), "--set"]
        command += [f"teacher.base_url={stub.url}"]
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while stub.answered.total() < 30:
            assert first.poll() is None
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert not (folder / "run" / "rows" / "train.jsonl").exists()
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert stub.answered.total() <= 120 + 17 + 4
    run = RunFolder(folder / "run")
    manifest = run.manifest("rows")
    assert manifest is not None
    assert manifest.facts["asked"] == manifest.facts["kept"] + manifest.facts["rejected"] == 120


def test_the_journal_of_ones_own_run_is_played_where_its_address_is_named(folder, teacher, capsys):
    _, rows, _, asked = build(folder, teacher)
    recorded = "teacher={provider: recorded, model: m, journal: run/journal.jsonl"
    replayed = RunFolder(folder / "replayed")
    there = load_recipe(folder / "small.yaml", [f'{recorded}, base_url: "http://127.0.0.1:9/v1"}}'])
    assert build_dataset(there, replayed).facts["kept"] == len(rows) == 10
    assert list(read_rows(replayed.rows / "train.jsonl", LabelRow)) == list(
        read_rows(folder / "run" / "rows" / "train.jsonl", LabelRow)
    )
    assert teacher.asked == asked, "nobody was"
    capsys.readouterr()
    nowhere = load_recipe(folder / "small.yaml", [f"{recorded}}}"])
    assert build_dataset(nowhere, RunFolder(folder / "nowhere")).facts["reasons"] == {"not_recorded": 10}
    told = capsys.readouterr().err
    assert "rows: 10 have no reply in run/journal.jsonl to what is asked of them now" in told
    assert "teacher.base_url that run's address, which is not named here" in told


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_sigterm_stops_as_ctrl_c_does_and_nothing_is_guessed_to_be_paid(folder):
    write_rows(folder, 400)
    price = ["--set", "teacher.price={input: 1, output: 1}", "--set", "synthesis.budget_usd=9", "--yes"]
    with TeacherStub(_answer, latency=0.05) as stub:
        command = [sys.executable, "-m", "synth", str(folder / "small.yaml"), "--run", str(folder / "run"), "--set"]
        command += [f"teacher.base_url={stub.url}", *price]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while stub.answered.total() < 30:
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        said = process.communicate(timeout=30)[1]
        calls = stub.answered.total()
    assert process.returncode == 143
    assert "rows settled; run the same command to go on from here" in said
    with Journal.open(folder / "run" / "journal.jsonl") as journal:
        assert (journal.replies, journal.lease) == (calls, Usage()), "what was on its way came back"
        assert journal.usage == Usage(
            *(sum(getattr(one, kind) for one in stub.billed) for kind in ("prompt", "cached", "completion"))
        )


def test_a_web_page_in_place_of_an_api_stops_soon_and_says_so(folder):
    write_rows(folder, 300)
    with TeacherStub(faults={"html": 1.0}) as stub:
        recipe = load_recipe(folder / "small.yaml", [f"teacher.base_url={stub.url}", "teacher.retries=6"])
        with pytest.raises(TeacherError, match=r"base_url answers with a web page .*please log in.*, not as an API"):
            build_dataset(recipe, RunFolder(folder / "run"))
        assert stub.asked.total() <= 10


def test_where_every_call_failed_the_last_line_says_how(folder, teacher):
    teacher.say = {"number 3": Fault("timeout", "no answer within 1 s"), "": Fault("server", "it fell over", 500)}
    lost = r"\(10 teacher_failed; most calls failed as server: 500: it fell over\): see .*rejects\.jsonl"
    with pytest.raises(SourceError, match=lost):
        main([str(folder / "small.yaml"), "--run", str(folder / "run")])


def test_a_plan_knows_the_replies_to_what_was_asked_before_something_else(folder, teacher):
    build(folder, teacher)
    prompt = folder / "prompt.yaml"
    first = prompt.read_text(encoding="utf-8")
    prompt.write_text(first.replace("Judge the text alone.", "Judge it alone."), "utf-8")
    assert len(build(folder, teacher)[3]) == 10
    prompt.write_text(first, "utf-8")
    write_rows(folder, 12)

    def planned(*overrides):
        plan = make_plan(load_recipe(folder / "small.yaml", overrides), RunFolder(folder / "run"))
        return plan.answered, plan.left

    assert planned() == (10, 2)
    assert planned("teacher.base_url=http://127.0.0.1:9/v1/") == (10, 2)
    assert planned("teacher.base_url=http://127.0.0.2:9/v1") == (0, 12)
    assert len(build(folder, teacher)[3]) == 2

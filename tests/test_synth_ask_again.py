"""--ask-again: what is asked anew of a teacher that was mended on its own side, what is not, and what it costs."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

import synth.ask
from recipes.chat import Reply, Usage
from recipes.errors import TeacherError
from recipes.load import load_recipe
from recipes.rows import SPLITS, LabelRow, Reject, read_rows
from recipes.runs import RunFolder
from recipes.spent import read_spent
from synth.__main__ import main
from synth.build import build_dataset
from synth.journal import Journal

RECIPE = """\
name: small
task: classify
labels: [bad, good]
source: {path: rows.jsonl, text: text, id: id, test: 0, validation: 0}
teacher: {provider: endpoint, base_url: "http://127.0.0.1:9/v1", model: m, concurrency: 1}
synthesis: {prompt: ./prompt.yaml, reask: 1}
students: {s: {kind: classifier, base: minilm}}
"""
WORD = 'version: 1\nsystem: Is it good or bad?\nuser: "{text}"\nanswer: {kind: word}\n'
ROWS = 30


class Teacher:
    """Cuts its replies to the rows in `cuts`; goes away, as a kill would, when `leaves_after` more are answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cuts = {1, 2, 3, 4}
        self.leaves_after = 1_000

    async def complete(self, request):
        if not self.leaves_after:
            raise KeyboardInterrupt
        self.leaves_after -= 1
        first = request.messages[1].content
        self.asked.append(first)
        cut = int(first.split()[1]) in self.cuts
        return Reply("go" if cut else "good", "length" if cut else "stop", Usage(10, 0, 5))


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
    (tmp_path / "prompt.yaml").write_text(WORD, encoding="utf-8")
    rows = [{"id": f"r{n}", "text": f"row {n} of them"} for n in range(ROWS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def build(folder, ask_again=False):
    """Kept rows, reasons of the rejects, and what was asked for them."""
    run = RunFolder(folder / "run")
    build_dataset(load_recipe(folder / "small.yaml"), run, ask_again=ask_again)
    rows = [row.id for split in SPLITS for row in read_rows(run.rows / f"{split}.jsonl", LabelRow)]
    return rows, [row.reason for row in read_rows(run.rows / "rejects.jsonl", Reject)]


def test_only_rejected_rows_are_asked_about_anew_and_the_old_replies_stay(folder, teacher, capsys):
    assert len(build(folder)[0]) == ROWS - 4
    told = capsys.readouterr().err
    assert "rows: 4 were rejected for what the teacher replied" in told
    assert "python -m synth RECIPE --ask-again" in told
    assert read_spent(folder / "run" / "journal.jsonl", "m").answered == ROWS
    teacher.cuts = {4}
    teacher.asked.clear()
    rows, reasons = build(folder, ask_again=True)
    assert (len(rows), reasons) == (ROWS - 1, ["truncated"])
    assert sorted(teacher.asked) == [*(f"row {n} of them" for n in (1, 2, 3)), *["row 4 of them"] * 2]
    assert "4 were rejected for what the teacher replied and are asked about anew; the 8 old replies stay" in (
        capsys.readouterr().err
    )
    with Journal.open(folder / "run" / "journal.jsonl") as journal:
        assert journal.replies == ROWS + 4 + 5
        assert journal.usage == Usage(10 * journal.replies, 0, 5 * journal.replies), "all of them were paid for"
    spent = read_spent(folder / "run" / "journal.jsonl", "m")
    assert (spent.answered, spent.replies) == (ROWS, ROWS + 4 + 5)
    teacher.asked.clear()
    assert len(build(folder)[0]) == ROWS - 1
    assert teacher.asked == [], "without --ask-again nothing is"


def test_nothing_to_ask_again_asks_nobody(folder, teacher, capsys):
    teacher.cuts = set()
    build(folder)
    teacher.asked.clear()
    assert len(build(folder, ask_again=True)[0]) == ROWS
    assert teacher.asked == []
    assert "there is nothing to ask again" in capsys.readouterr().err


def test_a_run_killed_half_way_does_not_ask_twice(folder, teacher, capsys):
    build(folder)
    teacher.asked.clear()
    teacher.leaves_after = 5  # rows 1 and 2 are cut again, row 3 once
    with pytest.raises(KeyboardInterrupt):
        build(folder, ask_again=True)
    assert len(teacher.asked) == 5
    teacher.leaves_after = 1_000
    rows, reasons = build(folder, ask_again=True)
    assert (len(rows), reasons) == (ROWS - 4, ["truncated"] * 4)
    assert len(teacher.asked) == 8, "two replies a row, none of them asked for twice"
    assert "the last --ask-again did not end: it goes on" in capsys.readouterr().err
    teacher.cuts = set()
    assert len(build(folder, ask_again=True)[0]) == ROWS, "and once it has ended it can be asked for anew"
    assert len(teacher.asked) == 8 + 4


def test_a_journal_with_withdrawn_replies_gives_none_after_a_restart(tmp_path):
    with Journal.open(tmp_path / "j.jsonl") as journal:
        journal.put("ab" * 32, "r1", Reply("old"), model="m")
        journal.withdraw("ab" * 32, "r1", model="m")
        assert journal.get("ab" * 32) is None
    with Journal.open(tmp_path / "j.jsonl") as journal:
        assert (journal.get("ab" * 32), journal.replies, journal.failures, journal.damaged) == (None, 1, 0, 0)
        journal.put("ab" * 32, "r1", Reply("new"), model="m")
    with Journal.open(tmp_path / "j.jsonl", readonly=True) as journal:
        assert journal.get("ab" * 32) == Reply("new")


def test_recorded_replies_cannot_be_asked_for_again(tmp_path):
    quickstart = ["recipes/quickstart.yaml", "--run", str(tmp_path / "run"), "--ask-again"]
    with pytest.raises(TeacherError, match="--ask-again: the teacher of quickstart is recorded: nobody can be asked"):
        main(quickstart)
    assert not (tmp_path / "run" / "rows").exists()

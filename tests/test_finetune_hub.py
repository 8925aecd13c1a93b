"""Pushing to the Hub, against a stand-in for its client."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
import tiny
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

import finetune.__main__
import finetune.ahead
import finetune.hub
import finetune.train
import synth.build
from finetune.hub import check_push, push_student, push_students
from finetune.record import SeedRecord, StudentRecord, write_record
from recipes.errors import TrainingError
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs

CALLS: list[tuple[str, Any]] = []


class Hub:
    """What `HfApi` is asked for."""

    def __init__(self, token: str) -> None:
        CALLS.append(("token", token))

    def create_repo(self, repository: str, private: bool, exist_ok: bool) -> None:
        CALLS.append(("create", (repository, private, exist_ok)))

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str, ignore_patterns: list[str]) -> str:
        CALLS.append(("upload", (repo_id, folder_path.name, ignore_patterns)))
        return "https://huggingface.co/me/student/commit/1"


class Offline(Hub):
    def create_repo(self, repository: str, private: bool, exist_ok: bool) -> None:
        raise OfflineModeIsEnabled("no network: hf_secretsecretsecret123")


@pytest.fixture()
def run(tmp_path: Path) -> RunFolder:
    CALLS.clear()
    run = RunFolder(tmp_path)
    seed = SeedRecord(
        fingerprint="f", seed=7, best_epoch=1, macro_f1=0.5, accuracy=0.5, steps=1, seconds=1, device="cpu",
        precision="fp32", truncated=0, epochs=[], losses=[],
    )  # fmt: skip
    record = StudentRecord(
        name="a", kind="classifier", base="b", labels=["x", "y"], max_length=8, rows={"train": 1, "validation": 1},
        skipped={}, truncated=0, human_labels=0, best_seed=7, macro_f1=0.5, deviation=None, seconds=1, device="CPU",
        hyperparameters={}, seeds={7: seed},
    )  # fmt: skip
    write_record(run.student("a") / "student.json", record)
    return run


RECIPE: Recipe = tiny.make_recipe(Path("b"), a={"push_to_hub": "me/student"}, quiet={})


def test_the_best_seed_is_pushed_once_to_a_private_repository(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    push_student(RECIPE, "a", run)
    push_student(RECIPE, "a", run)
    assert CALLS == [
        ("token", "hf_token"),
        ("create", ("me/student", True, True)),
        ("upload", ("me/student", "seed-7", ["*.partial", "training.json", "base.json"])),
    ]
    assert "https://huggingface.co/me/student" in capsys.readouterr().err
    card = run.student("a", 7) / "README.md"
    card.parent.mkdir()
    card.write_text("with its scores", encoding="utf-8")
    push_student(RECIPE, "a", run)
    assert len(CALLS) == 6, "the scores came later"
    record = run.student("a") / "student.json"
    record.write_bytes(record.read_bytes().replace(b'"seconds": 1', b'"seconds": 2'))
    push_student(RECIPE, "a", run)
    push_student(RECIPE, "a", run)
    assert len(CALLS) == 9, "it was trained again"


def test_nothing_is_pushed_that_was_not_asked_for(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    push_student(RECIPE, "quiet", run)
    assert CALLS == []


def test_no_token_and_no_network_are_one_sentence_each(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Offline)
    with pytest.raises(TrainingError, match="push_to_hub needs a token: set HF_TOKEN"):
        push_student(RECIPE, "a", run)
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret123")
    with pytest.raises(TrainingError, match=r"cannot push to me/student \(no network: \[key\]\)"):
        push_student(RECIPE, "a", run)
    assert run.manifest("push-a") is None


@pytest.mark.parametrize("error", [httpx.ConnectError("no route"), HFValidationError("no such name"), OSError("reset")])
def test_one_that_cannot_be_pushed_holds_up_no_other(
    error: Exception, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses(Hub):
        def create_repo(self, repository: str, private: bool, exist_ok: bool) -> None:
            if repository == "me/bad":
                raise error

    monkeypatch.setattr(huggingface_hub, "HfApi", Refuses)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    shutil.copytree(run.student("a"), run.student("b"))
    recipe = tiny.make_recipe(Path("b"), b={"push_to_hub": "me/bad"}, a={"push_to_hub": "me/student"})
    with pytest.raises(TrainingError, match=rf"^students\.b: cannot push to me/bad \({error}\)[^\n]*$"):
        push_students(recipe, ["b", "a"], run)
    assert run.manifest("push-a") is not None


def test_the_token_of_hf_auth_login_counts(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_login")
    push_student(RECIPE, "a", run)
    assert CALLS[0] == ("token", "hf_login")


def test_what_a_push_would_fail_by_is_found_before(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(repository: str) -> None:
        check_push(tiny.make_recipe(Path("b"), a={"push_to_hub": repository}, quiet={}), ["a", "quiet"], run)

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    check_push(RECIPE, ["quiet"], run)
    with pytest.raises(TrainingError, match=r"students\.a: push_to_hub needs a token"):
        check("me/student")
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    check("me/student")
    assert CALLS == [], "nothing is asked of the Hub"
    monkeypatch.delenv("HF_TOKEN")
    run.finish("push-a", {}, [], {})
    run.finish("student-a", student_inputs(RECIPE, "a", run), [], {})
    check_push(RECIPE, ["a"], run)  # all is up to date: nothing is to be pushed


@pytest.mark.parametrize("arguments", [["--no-eval"], ["--student", "a"], []])
def test_a_push_comes_last(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def note(what: str) -> Any:
        return lambda *args, **_: done.append(what)

    recipe = tiny.make_recipe(Path("b"), a={"push_to_hub": "me/student", "base": "students.c"}, c={})
    launch = SimpleNamespace(recipe=recipe, run=RunFolder(tmp_path), yes=True, arguments=[])
    monkeypatch.setattr(finetune.__main__, "open_launch", lambda args: launch)
    monkeypatch.setattr(finetune.train, "check_push", lambda recipe, names, run: done.append(names))
    monkeypatch.setattr(finetune.ahead, "check_bases", lambda recipe, names, run: done.append(("bases", names)))
    monkeypatch.setattr(synth.build, "build_dataset", note("rows"))
    monkeypatch.setattr(finetune.train, "train_students", note("students"))
    monkeypatch.setattr(finetune.hub, "push_students", lambda recipe, names, run: done.append(("push", names)))
    code = 0

    def start(command: list[str], check: bool, env: object) -> SimpleNamespace:
        done.append("eval")
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(finetune.__main__, "subprocess", SimpleNamespace(run=start))
    assert finetune.__main__.main(["r.yaml", *arguments]) == 0
    both = ["c", "a"]
    between = [] if arguments else ["eval"]
    assert done == [both, ("bases", both), "rows", "students", *between, ("push", both)]
    code = 3
    assert finetune.__main__.main(["r.yaml", *arguments]) == (0 if arguments else 3)
    assert (done[-1] == ("push", both)) == bool(arguments), "a report that failed has no scores to show"

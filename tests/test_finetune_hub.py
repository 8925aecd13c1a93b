"""Pushing to the Hub, against a stand-in for its client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny
from huggingface_hub.errors import OfflineModeIsEnabled

from finetune.hub import push_student
from finetune.record import SeedRecord, StudentRecord, write_record
from recipes.errors import TrainingError
from recipes.runs import Manifest, RunFolder

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


RECIPE = tiny.make_recipe(Path("b"), a={"push_to_hub": "me/student"}, quiet={})
TRAINED = Manifest(stage="student-a", inputs={"rows": "1"}, outputs={}, facts={"seconds": 1})


def test_the_best_seed_is_pushed_once_to_a_private_repository(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    push_student(RECIPE, "a", run, TRAINED)
    push_student(RECIPE, "a", run, TRAINED)
    assert CALLS == [
        ("token", "hf_token"),
        ("create", ("me/student", True, True)),
        ("upload", ("me/student", "seed-7", ["*.partial", "training.json"])),
    ]
    assert "https://huggingface.co/me/student" in capsys.readouterr().err
    push_student(RECIPE, "a", run, TRAINED.model_copy(update={"inputs": {"rows": "2"}}))
    assert len(CALLS) == 6


def test_nothing_is_pushed_that_was_not_asked_for(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    push_student(RECIPE, "quiet", run, TRAINED)
    assert CALLS == []


def test_no_token_and_no_network_are_one_sentence_each(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Offline)
    with pytest.raises(TrainingError, match="push_to_hub needs a token: set HF_TOKEN"):
        push_student(RECIPE, "a", run, TRAINED)
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret123")
    with pytest.raises(TrainingError, match=r"cannot push to me/student \(no network: \[key\]\)"):
        push_student(RECIPE, "a", run, TRAINED)
    assert run.manifest("push-a") is None

"""python -m eval: the stages before it first, then the table on stdout and the way to the report on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eval_runs
import pytest

from eval.__main__ import main
from recipes.errors import RunError, TrainingError
from recipes.load import load_recipe
from recipes.runs import RunFolder

QUICKSTART = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def build(recipe: Any, run: RunFolder, yes: bool) -> None:
        calls.append(("rows", yes))
        with pytest.raises(RunError), RunFolder(run.path).lock():
            pass  # the launcher holds it

    monkeypatch.setattr("synth.build.build_dataset", build)
    monkeypatch.setattr("finetune.train.train_students", lambda recipe, names, run: calls.append(names))
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    monkeypatch.setattr(
        "finetune.hub.push_students", lambda recipe, names, run: calls.append(("push", names, scored(run)))
    )
    return calls


def scored(run: RunFolder) -> bool:
    """Whether the report is there."""
    return (run.path / "report.html").exists()


def make(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    eval_runs.make_rows(run)
    for name in ("minilm", "minilm-gold"):
        eval_runs.make_student(run, name, seeds=(42,), best=42, recipe=load_recipe(str(QUICKSTART)))
    return run


def test_one_command_from_recipe_to_report(
    tmp_path: Path, called: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run")
    assert main([str(QUICKSTART), "--run", str(run.path), "--set", "evaluation.resamples=100", "--yes"]) == 0
    both = ["minilm", "minilm-gold"]
    assert called == [("rows", True), both, ("push", both, True)], "pushed when the scores are known"
    shown = capsys.readouterr()
    assert shown.out.startswith("model ")
    assert "minilm-gold " in shown.out
    assert shown.err.endswith(f"report: {run.path / 'report.html'}\n")
    assert (run.path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_only_the_students_that_are_compared_are_trained(tmp_path: Path, called: list[Any]) -> None:
    run = make(tmp_path / "run")
    named = "evaluation.models=[teacher, minilm]"
    assert main([str(QUICKSTART), "--run", str(run.path), "--set", named, "--set", "evaluation.resamples=100"]) == 0
    assert called == [("rows", False), ["minilm"], ("push", ["minilm"], True)]


def test_what_would_stop_the_students_is_found_before_the_teacher_is_paid(
    tmp_path: Path, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = ["teacher={provider: endpoint, base_url: 'http://127.0.0.1:9/v1', model: m}", "students.minilm.base=no/such"]
    settings = [part for one in paid for part in ("--set", one)]
    with pytest.raises(TrainingError, match="the base model no/such cannot be loaded"):
        main([str(QUICKSTART), *settings, "--run", str(tmp_path / "run")])
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(TrainingError, match=r"students\.minilm: push_to_hub needs a token"):
        main([str(QUICKSTART), "--set", "students.minilm.push_to_hub=me/student", "--run", str(tmp_path / "run")])
    assert called == []

"""python -m finetune: what it brings up to date, in which order, and what it starts afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import finetune.__main__
import finetune.train
import synth.build
from finetune.__main__ import main
from recipes.errors import TrainingError
from recipes.runs import RunFolder
from recipes.schema import Recipe

QUICKSTART = str(Path(__file__).parent.parent / "recipes" / "quickstart.yaml")


@pytest.fixture()
def steps(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What main() does, in order, with nothing really done."""
    done: list[object] = []

    def build(recipe: Recipe, run: RunFolder, yes: bool) -> None:
        done.append(("rows", recipe.name, yes))

    def train(recipe: Recipe, names: list[str], run: RunFolder) -> None:
        done.append(("students", names))

    def start(command: list[str], check: bool, env: dict[str, str]) -> SimpleNamespace:
        done.append(("process", command))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(synth.build, "build_dataset", build)
    monkeypatch.setattr(finetune.train, "train_students", train)
    monkeypatch.setattr(finetune.__main__, "subprocess", SimpleNamespace(run=start))
    return done


def test_rows_then_students_then_eval_in_its_own_process(steps: list[object], tmp_path: Path) -> None:
    arguments = [QUICKSTART, "--set", "source.seed=3", "--run", str(tmp_path / "run"), "--yes"]
    assert main(arguments) == 3
    assert steps == [
        ("rows", "quickstart", True),
        ("students", ["minilm", "minilm-gold"]),
        ("process", [sys.executable, "-m", "eval", *arguments]),
    ]


def test_one_student_compares_nothing(steps: list[object], tmp_path: Path) -> None:
    assert main([QUICKSTART, "--run", str(tmp_path), "--student", "minilm-gold"]) == 0
    assert main([QUICKSTART, "--run", str(tmp_path), "--no-eval"]) == 0
    assert steps[1::2] == [("students", ["minilm-gold"]), ("students", ["minilm", "minilm-gold"])]


def test_without_test_rows_students_are_trained_and_nothing_is_compared(
    steps: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([QUICKSTART, "--run", str(tmp_path), "--set", "source.test=0"]) == 0
    assert steps == [("rows", "quickstart", False), ("students", ["minilm", "minilm-gold"])]
    assert "no comparison: source.test is 0" in capsys.readouterr().err


def test_a_wrong_name_is_found_before_the_teacher_is_asked(steps: list[object], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no student 'mini'; it has minilm, minilm-gold"):
        main([QUICKSTART, "--run", str(tmp_path), "--student", "mini"])
    assert steps == []


def test_a_base_that_is_not_there_is_found_before_the_teacher_is_paid(steps: list[object], tmp_path: Path) -> None:
    paid = ["teacher={provider: endpoint, base_url: 'http://127.0.0.1:9/v1', model: m}", "students.minilm.base=no/such"]
    settings = [part for one in paid for part in ("--set", one)]
    with pytest.raises(TrainingError, match="the base model no/such cannot be loaded"):
        main([QUICKSTART, *settings, "--run", str(tmp_path / "run")])
    assert steps == []

"""Trained models of 20,000 parameters, compared by the launcher: what eval asks of finetune is what finetune gives."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import response_runs
import tiny_trained
from test_finetune_answering import make_student as open_tiny

from eval.__main__ import main
from eval.compare import compare
from eval.generate import Response
from eval.report import read_report
from eval.responses import ResponseComparison
from recipes.rows import read_rows
from recipes.runs import RunFolder


def test_one_command_from_recipe_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tiny_trained.write_recipe(tmp_path)
    arguments = [str(recipe), "--run", str(tmp_path / "run"), "--set", "evaluation.resamples=100"]
    assert main(arguments) == 0
    run = RunFolder(tmp_path / "run")
    found = read_report(run)
    assert isinstance(found, ResponseComparison)
    assert [one.name for one in found.models] == ["reference", "plain", "thinker", "base of thinker"]
    assert found.rows == 4
    for name in ("plain.seed-3407", "thinker.seed-3407", "thinker.base"):
        lines = list(read_rows(run.path / "predictions" / f"{name}.jsonl", Response))
        assert all(line.tokens is not None and 0 < line.tokens <= 20 for line in lines)
        assert all(line.nll is not None and line.nll > 0 and line.nll_tokens for line in lines)
    pair = found.pair("thinker", "base of thinker", "bits_per_char")
    assert pair is not None
    assert pair.difference.value != 0.0, "the base is the student without its adapter"
    card = (run.student("thinker") / "README.md").read_text(encoding="utf-8")
    assert "| reference | base of thinker |" in card
    capsys.readouterr()
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("measure ")
    assert "report: up to date" in shown.err
    assert "answers 4 questions" not in shown.err


def test_a_model_does_not_differ_from_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = response_runs.run_in(tmp_path)
    response_runs.make_rows(run, test=6)
    students = {"tuned": response_runs.student_of(answering={"temperature": 0, "max_new_tokens": 12})}
    recipe = response_runs.recipe_of(students=students)
    response_runs.make_student(run, recipe)
    monkeypatch.setattr("eval.responders._opener", lambda recipe, run, name, seed: open_tiny)
    monkeypatch.setattr("eval.responders._base_opener", lambda recipe, run, name, seed: open_tiny)
    found = compare(recipe, run)
    assert isinstance(found, ResponseComparison)
    pairs = [one for one in found.pairs if one.family == "base"]
    assert "bits_per_char" in [one.measure for one in pairs]
    for one in pairs:
        assert (one.difference.value, one.p, one.p_holm) == (0.0, 1.0, 1.0)
    loss = found.model("tuned").figure("loss").value
    assert loss is not None
    assert 0 < loss < 100 and not math.isnan(loss)

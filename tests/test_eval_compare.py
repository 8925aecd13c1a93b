"""The whole comparison on rows made by hand: scores, pairs, verdicts, costs, and when it is made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eval_runs
import numpy as np
import pytest

from eval.claims import is_clear
from eval.compare import compare
from eval.comparison import Comparison
from eval.costs import machine_usd_per_1000, ratio_sentence, teacher_usd_per_1000
from eval.intervals import holm
from eval.numbers import percent
from eval.report import read_report
from finetune.record import read_record
from recipes.chat import Price
from recipes.errors import RecipeError, RunError, TrainingError
from recipes.rows import LabelRow, Reject, read_rows, write_rows
from recipes.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    run = eval_runs.run_in(tmp_path)
    eval_runs.make_rows(run)
    eval_runs.make_student(run)
    return run


def compared(run: RunFolder, **changes: Any) -> Comparison:
    return compare(eval_runs.recipe_of(**changes), run)


def test_scores_are_those_of_the_rows(run: RunFolder) -> None:
    found = compared(run)
    assert [one.name for one in found.models] == ["teacher", "small", "majority", "vader", "tfidf", "tfidf_gold"]
    assert (found.rows, found.gold_rows) == (44, 44)
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    right = sum(row.label == row.gold for row in rows)
    teacher = found.model("teacher")
    assert teacher.accuracy.value == pytest.approx(right / 40)
    assert teacher.accuracy_all.value == pytest.approx(right / 44)
    assert teacher.coverage.value == pytest.approx(40 / 44)
    assert teacher.agreement.value is None
    assert teacher.calibration.value is None
    assert sum(sum(row) for row in teacher.confusion) == 44
    assert sum(row[-1] for row in teacher.confusion) == 4


def test_a_student_is_the_mean_of_its_seeds_and_tested_on_the_one_validation_chose(run: RunFolder) -> None:
    small = compared(run).model("small")
    values = [one.accuracy for one in small.seeds]
    assert [one.seed for one in small.seeds] == [1, 2]
    assert [one.chosen for one in small.seeds] == [False, True]
    assert [one.validation for one in small.seeds] == [0.7, 0.71]
    assert values[0] != values[1]
    assert small.accuracy.value == pytest.approx(np.mean(values))
    assert small.accuracy.deviation == pytest.approx(np.std(values, ddof=1))
    assert small.accuracy.low is not None
    assert small.accuracy.low < small.accuracy.value < (small.accuracy.high or 0)
    correct = sum(small.confusion[place][place] for place in range(3))
    assert correct / 44 == pytest.approx(values[1]), "the confusion matrix is the chosen seed's"


def test_pairs_are_on_the_rows_both_answered(run: RunFolder) -> None:
    found = compared(run)
    pair = found.pair("small", "teacher")
    assert pair is not None
    assert (pair.rows, pair.family) == (40, "question")
    assert pair.difference.value == pytest.approx((pair.only_first - pair.only_second) / 40)
    assert pair.p_holm == pair.p, "one question, nothing to correct"
    assert pair.all_seeds is not None
    assert len(found.pairs) == 15
    for family, size in (("question", 1), ("students", 4), ("other", 10)):
        members = [one for one in found.pairs if one.family == family]
        assert len(members) == size
        assert [one.p_holm for one in members] == pytest.approx(holm([one.p for one in members]))
    assert {one.rows for one in found.pairs if "teacher" not in (one.first, one.second)} == {44}


def test_the_verdict_says_what_the_test_says(run: RunFolder) -> None:
    found = compared(run)
    pair, verdict = found.pair("small", "teacher"), found.verdicts[0].text()
    assert pair is not None
    assert verdict.startswith("small is ")
    assert "on 40 rows" in verdict
    assert ("not distinguishable from the teacher" in verdict) == (not is_clear(pair, 0.95))
    assert "exact McNemar p" in verdict
    assert any("44 rows are few: a difference from the teacher below about" in one for one in found.warnings)
    assert any("no usable answer to 4 of 44 rows" in one for one in found.warnings)


def test_a_clear_difference_is_called_better(run: RunFolder) -> None:
    rows = [eval_runs.row_of(n, "test", 0.9, 0) for n in range(200)]
    write_rows(run.rows / "test.jsonl", rows)
    found = compared(run)
    assert found.verdicts[0].claim.startswith("small is better than the teacher by ")
    assert "points on 200 rows" in found.verdicts[0].claim


def test_without_gold_labels_nobody_is_called_right(run: RunFolder) -> None:
    for split in ("train", "test"):
        rows = read_rows(run.rows / f"{split}.jsonl", LabelRow)
        write_rows(run.rows / f"{split}.jsonl", [row.model_copy(update={"gold": None}) for row in list(rows)])
    rejects = [row.model_copy(update={"gold": None}) for row in read_rows(run.rows / "rejects.jsonl", Reject)]
    write_rows(run.rows / "rejects.jsonl", rejects)
    eval_runs.make_student(run)
    found = compared(run)
    assert found.gold_rows == 0
    assert found.pairs == ()
    for one in found.models:
        assert (one.accuracy.value, one.accuracy_all.value, one.macro_f1.value, one.kappa.value) == (None,) * 4
        assert one.calibration.value is None
    small = found.model("small")
    assert small.agreement.value is not None
    assert found.verdicts[0].claim.startswith("small agrees with the teacher on ")
    shown = [percent(found.model(name).agreement.value) for name in ("small", "majority")]
    assert f"on {shown[0]} of the rows, majority on {shown[1]}" in found.verdicts[0].claim
    assert found.verdicts[0].figures.startswith("95% interval of small ")
    assert "who is right cannot be told" in found.warnings[0]


def test_the_report_is_made_again_only_when_something_changed(run: RunFolder) -> None:
    first = compared(run)
    asked = eval_runs.FakeStudent.asked
    assert compared(run) == first
    assert read_report(run) == first
    again = compared(run, evaluation={"resamples": 300})
    assert again.resamples == 300
    assert eval_runs.FakeStudent.asked == asked, "new intervals need no new predictions"
    (run.path / "report.html").unlink()
    compared(run, evaluation={"resamples": 300})
    assert (run.path / "report.html").exists()
    damaged = (run.path / "report.json").read_bytes()
    (run.path / "report.json").write_bytes(b"?" * len(damaged))
    assert compared(run, evaluation={"resamples": 300}).resamples == 300


def test_figures_do_not_depend_on_whether_predictions_were_on_disk(run: RunFolder) -> None:
    first = compared(run)
    run.manifest_path("report").unlink()
    second = compared(run)
    assert second.model_copy(update={"made": first.made}) == first


def test_who_cannot_be_compared_is_refused(run: RunFolder) -> None:
    with pytest.raises(RecipeError, match="'gpt' is nobody to compare"):
        compared(run, evaluation={"models": ["teacher", "gpt"]})
    with pytest.raises(TrainingError, match="student other is not trained"):
        compared(run, students={"other": {"kind": "classifier", "base": "minilm"}})


def test_a_student_trained_under_another_recipe_is_refused(run: RunFolder) -> None:
    changed = {"small": {"kind": "classifier", "base": "minilm", "seeds": (1, 2), "epochs": 9}}
    with pytest.raises(
        RunError, match=r"small is not what the recipe says \(student changed\): run python -m finetune"
    ):
        compared(run, students=changed)


def test_what_the_recipe_says_of_itself_is_in_the_report(run: RunFolder) -> None:
    compared(run)
    assert compared(run, about="Other words.").about == "Other words."


def test_only_those_named_are_compared(run: RunFolder) -> None:
    found = compared(run, evaluation={"models": ["small", "vader"], "resamples": 100})
    assert [one.name for one in found.models] == ["small", "vader"]
    assert [pair.family for pair in found.pairs] == ["students"]
    assert found.model("small").agreement.value is not None, "the teacher's answers are in the rows"


def test_disagreements_and_curves(run: RunFolder) -> None:
    found = compared(run)
    assert found.disagreements
    assert all(one.prediction != one.teacher for one in found.disagreements)
    assert {one.student for one in found.disagreements} == {"small"}
    assert found.disagreements == compared(run, evaluation={"resamples": 300}).disagreements
    for curve, seed in zip(found.curves, (1, 2), strict=True):
        assert (curve.seed, curve.chosen, curve.steps, curve.loss) == (seed, seed == 2, (1.0, 2.0), (1.0, 0.5))
        assert (curve.validation_steps, curve.best_step, curve.best_by) == ((3, 6, 9, 12), 9, "macro F1")
        assert curve.scores == pytest.approx((0.6, 0.65, 0.7, 0.65))
    assert list(read_record(run, "small").seeds) == [1, 2]


def test_costs_by_hand(run: RunFolder) -> None:
    price = Price(input=0.27, cached_input=0.07, output=1.10)
    facts = {"asked": 1000, "tokens": {"prompt": 1_000_000, "cached": 400_000, "completion": 100_000}}
    assert teacher_usd_per_1000(price, facts) == pytest.approx(0.6 * 0.27 + 0.4 * 0.07 + 0.1 * 1.10)
    assert teacher_usd_per_1000(None, facts) is None
    assert teacher_usd_per_1000(price, {"asked": 1000, "tokens": {"prompt": 0, "cached": 0, "completion": 0}}) is None
    assert teacher_usd_per_1000(price, {}) is None
    assert machine_usd_per_1000(3.6, 10.0) == pytest.approx(0.1)
    assert machine_usd_per_1000(None, 10.0) is None
    assert machine_usd_per_1000(3.6, None) is None
    found = compared(run)
    assert [one.usd_per_1000 for one in found.models] == [None] * 6
    teacher = {"provider": "endpoint", "model": "big", "base_url": "http://127.0.0.1:9/v1", "price": price.model_dump()}
    paid = compared(run, teacher=teacher, evaluation={"machine_usd_per_hour": 0.5, "resamples": 100})
    assert paid.model("teacher").usd_per_1000 == pytest.approx((0.06 * 0.27 + 0.03 * 0.07 + 0.006 * 1.1) / 115 * 1000)
    assert all(one.usd_per_1000 for one in paid.models)
    assert "small costs" in ratio_sentence(paid.models)

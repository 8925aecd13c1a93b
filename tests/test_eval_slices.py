"""Scores by slice: figures by hand, what is tested and what is not, and what the reports show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eval_runs
import numpy as np
import pytest

from eval.card import START
from eval.compare import compare
from eval.comparison import Comparison, Slice
from eval.intervals import holm, wilson
from eval.label_agreement import label_agreement
from eval.markdown import markdown
from eval.numbers import percent
from eval.predict import Answered
from eval.report import html, read_report
from eval.scored import ScoredRows
from eval.scores import Compared
from recipes.rows import LabelRow, Reject, Row, read_rows, write_rows
from recipes.runs import RunFolder
from recipes.schema import Evaluation

SOURCE = {"path": "tweets.jsonl", "text": "text", "label": "label", "slices": ["language"]}


def language(number: int) -> dict[str, str]:
    """Nine rows in twenty are English, eight German, two French, and one has no language."""
    place = number % 20
    if place == 19:
        return {}
    return {"language": "en" if place < 9 else "de" if place < 17 else "fr"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    run = eval_runs.run_in(tmp_path)
    eval_runs.make_rows(run, test=200)
    for name, kind in (("test", LabelRow), ("rejects", Reject)):
        rows: list[Row] = list(read_rows(run.rows / f"{name}.jsonl", kind))
        told = [row.model_copy(update={"slices": language(number)}) for number, row in enumerate(rows)]
        write_rows(run.rows / f"{name}.jsonl", told)
    eval_runs.make_student(run, recipe=eval_runs.recipe_of(source=SOURCE))
    return run


def compared(run: RunFolder, **changes: Any) -> Comparison:
    models = {"models": ["teacher", "small", "majority"], "resamples": 200}
    return compare(eval_runs.recipe_of(**{"source": SOURCE, "evaluation": models} | changes), run)


def slices_of(found: Comparison) -> dict[str, Slice]:
    return {one.value: one for one in found.slices[0].slices}


def without_gold(run: RunFolder) -> None:
    for name, kind in (("train", LabelRow), ("test", LabelRow), ("rejects", Reject)):
        rows: list[Row] = list(read_rows(run.rows / f"{name}.jsonl", kind))
        write_rows(run.rows / f"{name}.jsonl", [row.model_copy(update={"gold": None}) for row in rows])
    eval_runs.make_student(run, recipe=eval_runs.recipe_of(source=SOURCE))


def test_figures_are_those_of_the_rows_of_the_slice(run: RunFolder) -> None:
    found = compared(run)
    english = slices_of(found)["en"]
    kept = [row for row in read_rows(run.rows / "test.jsonl", LabelRow) if row.slices == {"language": "en"}]
    lost = [
        row for row in read_rows(run.rows / "rejects.jsonl", Reject) if row.split == "test" and row.stage != "source"
    ]
    assert [row.slices for row in lost] == [{"language": "en"}] * 4, "what the teacher did not answer has a language"
    assert (english.rows, english.gold_rows) == (len(kept) + 4, len(kept) + 4) == (94, 94)
    teacher, small, majority = english.models
    right = sum(row.label == row.gold for row in kept)
    expected = wilson(right, len(kept), 0.95)
    assert (teacher.model, teacher.answered) == ("teacher", len(kept))
    assert teacher.accuracy.value == pytest.approx(right / len(kept))
    assert (teacher.accuracy.low, teacher.accuracy.high) == (expected.low, expected.high)
    assert teacher.agreement.value is None
    seeds = [eval_runs.FakeStudent("small", seed) for seed in (1, 2)]
    said = [[one.labels[place] for place in one.predict([row.text for row in kept]).argmax(axis=1)] for one in seeds]
    agreed = [np.mean([label == row.label for label, row in zip(one, kept, strict=True)]) for one in said]
    assert small.agreement.value == pytest.approx(np.mean(agreed))
    assert small.agreement.deviation == pytest.approx(np.std(agreed, ddof=1))
    assert small.macro_f1.value is not None
    assert small.macro_f1.low is not None
    assert small.calibration.value is not None
    assert majority.calibration.value is None


def test_agreement_is_measured_on_held_out_rows_alone(run: RunFolder) -> None:
    """The published agreement was that on the training set: here a student agrees with its teacher on every train row
    and on none of the test rows."""
    student = eval_runs.FakeStudent("small", 1)
    for name in ("train", "test"):
        rows = list(read_rows(run.rows / f"{name}.jsonl", LabelRow))
        said = student.predict([row.text for row in rows]).argmax(axis=1)
        shift = 0 if name == "train" else 1
        labels = [student.labels[(place + shift) % 3] for place in said]
        told = [row.model_copy(update={"label": label}) for row, label in zip(rows, labels, strict=True)]
        write_rows(run.rows / f"{name}.jsonl", told)
    one_seed = {"small": {"kind": "classifier", "base": "minilm", "seeds": (1,)}}
    recipe = eval_runs.recipe_of(source=SOURCE, students=one_seed)
    eval_runs.make_student(run, seeds=(1,), best=1, recipe=recipe)
    found = compared(run, students=one_seed)
    assert found.model("small").agreement.value == 0.0
    by_slice = [one.models[1].agreement.value for one in found.slices[0].slices]
    assert by_slice == [0.0] * 3


def test_tests_are_corrected_over_slices_and_few_rows_have_none(run: RunFolder) -> None:
    found = compared(run)
    slices = slices_of(found)
    assert list(slices) == ["en", "de", "fr"], "most rows first"
    assert [one.few for one in slices.values()] == [False, False, True]
    assert [len(one.pairs) for one in slices.values()] == [1, 1, 0]
    pairs = [one.pairs[0] for one in slices.values() if one.pairs]
    assert [pair.p_holm for pair in pairs] == pytest.approx(holm([pair.p for pair in pairs]))
    assert slices["fr"].rows == 20
    assert {one.calibration.value for one in slices["fr"].models} == {None}
    verdict = next(one for one in found.verdicts if one.claim.startswith("small by language"))
    assert "beside the teacher, in points: " in verdict.claim
    assert verdict.claim.endswith("no verdict on fr, with fewer than 50 rows that both answered and a person labelled")
    assert verdict.figures == "exact McNemar, Holm's correction for 2 tests"
    assert found.slices[0].without == 10
    assert "Test rows without a value in language, in none of its slices: 10." in found.warnings


def test_a_slice_on_which_the_student_is_better_is_named(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    worse = {"negative": "neutral", "neutral": "positive", "positive": "negative"}
    told = [
        row.model_copy(
            update={"label": worse[row.gold or "neutral"] if row.slices == {"language": "de"} else row.label}
        )
        for row in rows
    ]
    write_rows(run.rows / "test.jsonl", told)
    claim = next(one.claim for one in compared(run).verdicts if one.claim.startswith("small by language"))
    assert "better on de (+" in claim
    assert "not distinguishable on en" in claim


def test_without_gold_agreement_is_told_by_slice(run: RunFolder) -> None:
    without_gold(run)
    found = compared(run)
    assert found.gold_rows == 0
    for one in found.slices[0].slices:
        assert one.pairs == ()
        for scores in one.models:
            assert (scores.accuracy.value, scores.macro_f1.value, scores.calibration.value) == (None, None, None)
    known = {one.value: one.models[1].agreement.value or 0.0 for one in found.slices[0].slices if not one.few}
    low, high = sorted(known, key=lambda value: known[value])
    said = next(one for one in found.verdicts if one.claim.startswith("small by language"))
    ends = f"{percent(known[low])} ({low}) to {percent(known[high])} ({high})"
    assert said.claim == (
        f"small by language agrees with the teacher on {ends} of the rows; no verdict on fr, with fewer than 50 rows"
    )
    text = markdown(found)
    assert "## Agreement with the teacher by language" in text
    assert "## Accuracy by language" not in text
    assert "<h2>By language</h2>" in html(found)


def test_a_recipe_without_slices_shows_none(run: RunFolder) -> None:
    plain = {name: value for name, value in SOURCE.items() if name != "slices"}
    eval_runs.make_student(run, recipe=eval_runs.recipe_of(source=plain))
    found = compared(run, source=plain)
    assert found.slices == ()
    assert "By language" not in html(found)


def test_reports_hold_the_tables(run: RunFolder) -> None:
    place = run.student("small", 2) / "README.md"
    place.parent.mkdir(parents=True)
    place.write_text("---\nlibrary_name: transformers\n---\n\n# tweets: small\n", encoding="utf-8")
    found = compared(run)
    text, page, card = markdown(found), html(found), place.read_text(encoding="utf-8")
    assert read_report(run) == found
    for title in ("Accuracy", "Agreement with the teacher", "Macro F1", "Calibration error (ECE)"):
        assert f"## {title} by language" in text
        assert title in page
    for one in found.slices[0].slices:
        for scores in one.models:
            assert percent(scores.accuracy.value) in text
            assert percent(scores.accuracy.value) in page
    assert "| fr | 20 (few) |" in text
    assert "there are fewer than 50: read the interval" in page
    assert START in card
    assert "| language | test rows | accuracy, mean of all seeds | agreement, mean of all seeds |" in card


EVIL = "<script>alert(1)</script>|[x](http://y)"


def test_values_of_a_source_stay_words(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    write_rows(run.rows / "test.jsonl", [row.model_copy(update={"slices": {"language": EVIL}}) for row in rows])
    found = compared(run)
    text, page = markdown(found), html(found)
    assert "<script" not in page
    assert "<script" not in text
    assert "[x](" not in text.replace("\\[", "")
    assert "scriptalert(1)" in text, "in the sentence"


def test_of_very_many_values_those_with_most_rows_are_shown(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.slices.MOST_SLICES", 2)
    found = compared(run)
    assert [one.value for one in found.slices[0].slices] == ["en", "de"]
    assert found.slices[0].not_shown == 1
    assert "language has 3 values; the 2 with the most test rows are shown." in found.warnings


def test_labels_of_a_teacher_of_several_by_hand() -> None:
    teacher = np.array([[0.9, 0.6], [0.2, 0.7], [0.5, 0.1], [0.1, 0.2], [np.nan, np.nan]])
    first = np.array([[0.8, 0.4], [0.6, 0.9], [0.5, 0.3], [0.4, 0.1], [0.9, 0.9]])
    second = np.array([[0.8, 0.6], [0.3, 0.9], [0.6, 0.3], [0.4, 0.1], [0.9, 0.9]])
    codes = np.zeros(5, dtype=np.int64)
    ids = tuple("abcde")
    scored = ScoredRows(ids, ids, codes, codes, teacher, (None,) * 5)
    sets = tuple(Answered("small", "student", seed, codes, said, None) for seed, said in ((1, first), (2, second)))
    a, b = label_agreement([Compared(sets)], scored, ("a", "b"), Evaluation(resamples=100))
    assert (a.model, a.label, a.rows, a.teacher, a.student) == ("small", "a", 4, 0.5, (0.75 + 0.5) / 2)
    assert a.agreement.value == pytest.approx((0.75 + 1.0) / 2)
    assert a.f1 == pytest.approx((2 * 2 / (2 + 3) + 1.0) / 2)
    assert (b.teacher, b.student) == (0.5, (0.25 + 0.5) / 2)
    assert b.agreement.value == pytest.approx((0.75 + 1.0) / 2)
    assert b.f1 == pytest.approx((2 * 1 / (2 + 1) + 1.0) / 2)
    one = label_agreement([Compared(sets[:1])], scored, ("a", "b"), Evaluation())[0].agreement
    expected = wilson(3, 4, 0.95)
    assert (one.low, one.high, one.deviation) == (expected.low, expected.high, None)
    assert label_agreement([Compared((Answered("majority", "baseline", None, codes, None, None),))], scored, ("a", "b"),
                           Evaluation()) == ()  # fmt: skip


def test_the_report_of_a_teacher_of_several_labels(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    told = [row.model_copy(update={"soft": tuple(0.9 if share else 0.55 for share in row.soft)}) for row in rows]
    write_rows(run.rows / "test.jsonl", told)
    several = {"provider": "zero_shot", "model": "me/nli", "multi_label": True}
    soft = {"small": {"kind": "classifier", "base": "minilm", "seeds": (1, 2), "targets": "soft"}}
    changed = {"teacher": several, "synthesis": {}, "students": soft}
    eval_runs.make_student(run, recipe=eval_runs.recipe_of(source=SOURCE, **changed))
    found = compared(run, **changed)
    assert [(one.model, one.label, one.teacher) for one in found.label_agreement] == [
        ("small", label, 1.0) for label in eval_runs.LABELS
    ]
    assert found.model("teacher").calibration.value is not None, "its probabilities are real ones"
    text = markdown(found)
    assert "## Label by label" in text
    assert "Holm's correction is over the pairs of a kind" in text
    assert "| agreement | a constant guess agrees | F1 |" in text and "| 100.0% |" in text.split("## Label by label")[1]
    assert "<h2>Label by label</h2>" in html(found)


def test_where_all_slices_are_small_that_is_said(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.slices.FEW_IN_SLICE", 95)
    found = compared(run)
    assert all(one.few and not one.pairs for one in found.slices[0].slices)
    assert not [one for one in found.verdicts if "by language" in one.claim]
    assert [one for one in found.warnings if one.startswith("No value of language has 50 test rows: figures")]

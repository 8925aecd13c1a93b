"""Test texts of a dataset that stand in the train rows of another source."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.tuple_read import read_before
from eval.tuple_rows import read_set
from eval.tuple_scores import Marked
from eval.tuple_warnings import tuple_warnings
from recipes.rows import read_rows, write_rows
from recipes.runs import RunFolder

NAMES = ("helped", "plain")


def test_test_texts_that_a_base_student_trained_on_are_said(tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path), tuple_runs.recipe_of()
    tuple_runs.make_rows(run)
    models = [Marked(name, "student", read_set(recipe, run, "terms"), (1,), ()) for name in NAMES]
    assert list(read_before(recipe, run, models)) == []
    path = run.rows / "train.jsonl"
    rows = list(read_rows(path, tuple_runs.UnderstandingRow))
    tests = [row.text for row in read_rows(run.of_dataset("terms").rows / "test.jsonl", tuple_runs.AspectRow)]
    met = [row.model_copy(update={"text": text.upper()}) for row, text in zip(rows, tests[:5], strict=False)]
    write_rows(path, [*met, *rows[5:]])
    said = "5 of 24 test texts of terms are among the train rows of reader: that may flatter helped there."
    assert list(read_before(recipe, run, models)) == [said], "plain has not read them"
    assert said in list(tuple_warnings(recipe, run, [], models, [], []))


def test_rows_that_a_share_leaves_out_are_not_read(tmp_path: Path) -> None:
    students = tuple_runs.STUDENTS | {"reader": tuple_runs.student_of(limit=1)}
    run, recipe = RunFolder(tmp_path), tuple_runs.recipe_of(students=students)
    tuple_runs.make_rows(run)
    path = run.rows / "train.jsonl"
    tests = [row.text for row in read_rows(run.of_dataset("moods").rows / "test.jsonl", tuple_runs.LabelRow)]
    rows = list(read_rows(path, tuple_runs.UnderstandingRow))
    write_rows(path, [row.model_copy(update={"text": text}) for row, text in zip(rows, tests, strict=False)])
    model = Marked("reader", "student", read_set(recipe, run, "moods"), (1,), ())
    (said,) = read_before(recipe, run, [model])
    assert said == "1 of 24 test texts of moods are among the train rows of reader: that may flatter reader there."

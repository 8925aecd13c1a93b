"""Test texts of a dataset that stand in the train rows of another source."""

from __future__ import annotations

from pathlib import Path

import pytest
import tuple_runs

from eval.compare import compare
from eval.tuple_read import met_before, rows_met
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
    assert list(met_before(recipe, run, models)) == []
    path = run.rows / "train.jsonl"
    rows = list(read_rows(path, tuple_runs.UnderstandingRow))
    tests = [row.text for row in read_rows(run.of_dataset("terms").rows / "test.jsonl", tuple_runs.AspectRow)]
    read = [row.model_copy(update={"text": text.upper()}) for row, text in zip(rows, tests[:5], strict=False)]
    write_rows(path, [*read, *rows[5:]])
    said = "5 of 24 test texts of terms are among the train rows of reader: that may flatter helped there."
    met = list(met_before(recipe, run, models))
    assert [one.text() for one in met] == [said], "plain has not read them"
    assert [rows_met(met, name, "terms") for name in NAMES] == [5, 0]
    assert said in list(tuple_warnings(recipe, run, [], models, [], [], met))


def test_rows_that_a_share_leaves_out_are_not_read(tmp_path: Path) -> None:
    students = tuple_runs.STUDENTS | {"reader": tuple_runs.student_of(limit=1)}
    run, recipe = RunFolder(tmp_path), tuple_runs.recipe_of(students=students)
    tuple_runs.make_rows(run)
    path = run.rows / "train.jsonl"
    tests = [row.text for row in read_rows(run.of_dataset("moods").rows / "test.jsonl", tuple_runs.LabelRow)]
    rows = list(read_rows(path, tuple_runs.UnderstandingRow))
    write_rows(path, [row.model_copy(update={"text": text}) for row, text in zip(rows, tests, strict=False)])
    model = Marked("reader", "student", read_set(recipe, run, "moods"), (1,), ())
    (met,) = met_before(recipe, run, [model])
    said = "1 of 24 test texts of moods are among the train rows of reader: that may flatter reader there."
    assert met.text() == said


def test_a_card_says_which_test_rows_a_base_was_trained_or_chosen_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """helped began with reader, which was chosen on texts that helped is tested on."""
    monkeypatch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
    recipe = tuple_runs.recipe_of(students={name: tuple_runs.STUDENTS[name] for name in ("reader", *NAMES)})
    run = RunFolder(tmp_path)
    tuple_runs.make_rows(run)
    tests = [row.text for row in read_rows(run.of_dataset("terms").rows / "test.jsonl", tuple_runs.AspectRow)]
    path = run.rows / "validation.jsonl"
    rows = list(read_rows(path, tuple_runs.UnderstandingRow))
    write_rows(path, [row.model_copy(update={"text": text}) for row, text in zip(rows, tests, strict=False)])
    for name in recipe.students:
        tuple_runs.make_student(run, recipe, name)
    found = compare(recipe, run)
    said = "4 of 24 test texts of terms are among the validation rows of reader: that may flatter helped there."
    assert said in found.warnings
    cards = [(run.student(name) / "README.md").read_text(encoding="utf-8") for name in NAMES]
    assert "was trained or chosen on the texts of 4 of 24 test rows of terms: that may flatter it there." in cards[0]
    assert "On test rows that it was neither trained nor chosen on" in cards[1]
    assert not any("no student was trained" in card for card in cards)

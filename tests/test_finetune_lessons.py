"""Which rows a student is shown, and whose labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny

from finetune.lessons import training_lesson, validation_lesson
from recipes.errors import RecipeError, RunError, TrainingError
from recipes.load import load_recipe
from recipes.rows import LabelRow, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.students import ClassifierStudent

BASE = Path("base")


def write(run: RunFolder, rows: list[LabelRow]) -> None:
    write_rows(run.rows / "train.jsonl", rows)


def recipe(**student: object) -> Recipe:
    return tiny.make_recipe(BASE, a=student)


def test_hard_targets_are_the_teachers_labels_and_ties_are_counted(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=10)
    rows = [tiny.make_row(number, "train") for number in range(10)]
    write(run, [rows[0].model_copy(update={"label": None}), *rows[1:]])
    lesson = training_lesson(recipe(), "a", run)
    assert lesson.skipped == {"no majority": 1}
    assert lesson.ids == [row.id for row in rows[1:]]
    assert [tiny.LABELS[place] for place in lesson.answers()] == [row.label for row in rows[1:]]
    assert set(np.unique(lesson.targets)) == {0.0, 1.0}


def test_soft_targets_keep_ties_in_training_and_not_in_validation(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=4, validation=4)
    tie = tiny.make_row(0, "train").model_copy(update={"label": None, "soft": (0.5, 0.5, 0.0)})
    none = tiny.make_row(1, "train").model_copy(update={"label": None, "soft": (0.0, 0.0, 0.0)})
    write(run, [tie, none, tiny.make_row(2, "train")])
    write_rows(run.rows / "validation.jsonl", [tie, tiny.make_row(3, "validation")])
    lesson = training_lesson(recipe(targets="soft"), "a", run)
    assert lesson.skipped == {"no soft label": 1}
    assert lesson.targets[0].tolist() == [0.5, 0.5, 0.0]
    assert lesson.targets.sum(axis=1) == pytest.approx(1.0)
    checked = validation_lesson(recipe(targets="soft"), "a", run)
    assert (checked.ids, checked.skipped) == (["validation-3"], {"no majority": 1})


def test_gold_rows_are_the_human_labels_and_others_are_counted(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path)
    rows = [tiny.make_row(number, "train", gold=number % 3 > 0) for number in range(90)]
    write(run, rows)
    lesson = training_lesson(recipe(rows="gold"), "a", run)
    assert lesson.skipped == {"no gold label": 30}
    gold = [row.gold for row in rows if row.gold is not None]
    assert [tiny.LABELS[place] for place in lesson.answers()] == gold
    assert gold != [row.label for row in rows if row.gold is not None]  # the teacher is wrong about some of these


def test_limit_is_a_stratified_draw_that_does_not_move(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=300)
    everything = training_lesson(recipe(), "a", run)
    lesson = training_lesson(recipe(limit=100), "a", run)
    assert len(lesson) == 100
    assert set(lesson.ids) < set(everything.ids)
    whole, part = Counter(everything.answers().tolist()), Counter(lesson.answers().tolist())
    assert all(abs(part[label] - whole[label] / 3) < 1 for label in whole)
    assert training_lesson(recipe(limit=100), "a", run).ids == lesson.ids
    assert set(training_lesson(recipe(limit=50), "a", run).ids) < set(lesson.ids)
    assert len(training_lesson(recipe(limit=9000), "a", run)) == 300


def test_a_limit_on_gold_rows_is_all_the_human_labels_that_are_spent(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path, train=100, validation=80)
    limited = recipe(rows="gold", limit=50)
    assert (len(training_lesson(limited, "a", run)), len(validation_lesson(limited, "a", run))) == (40, 10)
    assert len(validation_lesson(recipe(rows="gold"), "a", run)) == 80
    assert len(validation_lesson(recipe(limit=50), "a", run)) == 80
    write_rows(run.rows / "validation.jsonl", [])
    assert (len(training_lesson(limited, "a", run)), len(validation_lesson(limited, "a", run))) == (50, 0)


def test_what_cannot_be_taught_is_said(tmp_path: Path) -> None:
    run = tiny.make_run(tmp_path)
    write(run, [tiny.make_row(number, "train", gold=False) for number in range(5)])
    with pytest.raises(TrainingError, match=r"students\.a: no row of .*train\.jsonl has a gold label"):
        training_lesson(recipe(rows="gold"), "a", run)
    with pytest.raises(RunError, match="run python -m synth"):
        training_lesson(recipe(), "a", RunFolder(tmp_path / "elsewhere"))


@pytest.mark.parametrize("column", ["rationale", "label", "soft", "reason", "reasoning"])
def test_a_student_that_reads_what_the_teacher_wrote_is_refused(column: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"the column '{column}' is written by the teacher"):
        ClassifierStudent(kind="classifier", base="minilm", input=column)
    quickstart = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"
    with pytest.raises(RecipeError, match="written by the teacher"):
        load_recipe(quickstart, [f"students.minilm.input={column}"])

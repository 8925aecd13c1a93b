"""Which students of one dataset are compared, and as what."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.tuple_pairs import duels
from eval.tuple_rows import ScoredSet
from eval.tuple_scores import Marked
from recipes.runs import RunFolder


def test_students_of_other_bases_are_no_test_of_distillation() -> None:
    other = {"other": tuple_runs.student_of(base="t5-small", data="terms")}
    recipe = tuple_runs.recipe_of(
        students={name: tuple_runs.STUDENTS[name] for name in ("reader", "helped", "plain")} | other
    )
    scored = ScoredSet("terms", "atsa", RunFolder(Path("run")), ("1",), ("A soup.",), 1)
    models = [Marked(name, "student", scored, (1,), ()) for name in ("helped", "plain", "other")]
    assert [(one.first.name, one.second.name, one.family) for one in duels(recipe, models)] == [
        ("helped", "plain", "distillation"), ("helped", "other", "students"), ("plain", "other", "students"),
    ]  # fmt: skip

"""Which students of one dataset are compared, and as what."""

from __future__ import annotations

from pathlib import Path

import tuple_runs

from eval.comparison import Figure
from eval.tuple_comparison import TuplePair
from eval.tuple_pairs import duels, question
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


def test_pairs_of_one_question_are_corrected_together() -> None:
    """Whether distillation helps is one question of all datasets."""
    pair = TuplePair(
        dataset="terms", measure="f1", first="a", second="b", family="baselines", seeds=(1,), rows=9, first_value=0.5,
        second_value=0.4, difference=Figure(value=0.1), p=0.03, p_holm=0.03, detectable=None,
    )  # fmt: skip
    changes = [{}, {"dataset": "moods"}, {"measure": "accuracy"}, {"family": "students"}, {"first": "c"}]
    asked = [question(pair.model_copy(update=change)) for change in changes]
    assert [asked.count(one) for one in asked] == [2, 1, 1, 1, 2]
    apart = [pair.model_copy(update={"family": "distillation", "dataset": name}) for name in ("terms", "kinds")]
    assert len({question(one) for one in apart}) == 1

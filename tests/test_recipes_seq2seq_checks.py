"""Mistakes of seq2seq students: what they would learn, from what base, and settings that are of no use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes.checks import Parts
from recipes.pending import training_plans
from recipes.runs import RunFolder
from recipes.schema import Dataset, Recipe, Source
from recipes.seq2seq_student import Seq2seqStudent
from recipes.student_checks import student_mistakes
from recipes.students import ClassifierStudent

TERMS = Dataset(task="atsa", source=Source(path="terms.jsonl", text="text", aspects="aspects", train=30))
FEELINGS = Dataset(task="sentiment", source=Source(path="feelings.jsonl", text="text", label="label"))


def told(folder: Path, task: str = "understanding", base: str = "scratch", **student: Any) -> list[str]:
    made = Seq2seqStudent(kind="seq2seq", base=base, **student)
    students = {"a": made, "other": ClassifierStudent(kind="classifier", base="minilm")}
    parts = Parts(folder, task=task, students=students, datasets={"terms": TERMS, "feelings": FEELINGS})
    return [f"{'.'.join(map(str, path))}: {message}" for path, message in student_mistakes(parts, "a", made)]


def test_good_students_have_none(tmp_path: Path) -> None:
    assert told(tmp_path) == []
    assert told(tmp_path, data="terms", prefixes={"atsa": "terms: "}) == []
    assert told(tmp_path, "classify", data="terms") == []
    assert told(tmp_path, base="google-t5/t5-base", targets=("rewrite",)) == []
    assert told(tmp_path, "acsa") == []


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"data": "term"}, "students.a.data: there is no dataset term; did you mean terms?"),
        ({"data": "feelings"}, "students.a.data: the dataset feelings is of task sentiment, which no student learns"),
        ({"task": "classify"}, "students.a.data: is missing: name what it learns, of the datasets terms"),
        ({"data": "terms", "targets": ("rewrite",)}, "students.a.targets: has no place here: of rows of task atsa a "),
        (
            {"targets": ("rewrite",), "prefixes": {"analysis": "x: "}},
            "students.a.prefixes.analysis: analysis is nothing that this student writes: it writes rewrite",
        ),
        ({"base": "minilm"}, "students.a.base: minilm is an encoder, which writes no text: name an encoder with a dec"),
        (
            {"base": "students.other"},
            "students.a.base: students.other is of kind: classifier, and this is of kind: seq",
        ),
        ({"base": "org/t5", "scratch": {"hidden": 64}}, "students.a.scratch: goes with base: scratch"),
    ],
)
def test_mistakes(student: dict[str, Any], message: str, tmp_path: Path) -> None:
    (found,) = told(tmp_path, **student)
    assert found.startswith(message)


def test_a_recipe_without_datasets_has_nothing_to_learn() -> None:
    student = Seq2seqStudent(kind="seq2seq", base="scratch")
    (found,) = student_mistakes(Parts(Path(), task="classify", students={"a": student}), "a", student)
    assert found[0] == ("students", "a", "kind")
    assert "and this recipe's task is classify" in found[1]


def test_a_folder_must_hold_an_encoder_with_a_decoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}', encoding="utf-8")
    (found,) = told(tmp_path, base=str(tmp_path))
    assert "is an encoder alone (bert): name one with a decoder, such as google-t5/t5-base" in found
    (tmp_path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}', encoding="utf-8")
    assert told(tmp_path, base=str(tmp_path)) == []


@pytest.mark.parametrize(
    ("share", "limit", "rows", "drawn"),
    [(1, None, 40, 40), (0.1, None, 40, 4), (0.5, 6, 40, 6), (0.001, None, 40, 1), (1, 99, 40, 40), (0.5, None, 0, 0)],
)
def test_how_many_rows_are_drawn(share: float, limit: int | None, rows: int, drawn: int) -> None:
    assert Seq2seqStudent(kind="seq2seq", base="x", share=share, limit=limit).drawn(rows) == drawn


def test_the_plan_counts_the_texts_of_the_right_rows(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "plan", "task": "understanding", "source": {"path": "r.jsonl", "text": "text"},
            "students": {
                "both": {"kind": "seq2seq", "base": "scratch", "epochs": 2, "batch_size": 10},
                "one": {"kind": "seq2seq", "base": "scratch", "targets": ["rewrite"], "share": 0.5},
                "terms": {"kind": "seq2seq", "base": "students.both", "data": "terms", "limit": 20, "seeds": [1, 2]},
            },
            "datasets": {"terms": TERMS.model_dump(exclude_unset=True)},
        }
    )  # fmt: skip
    run = RunFolder(tmp_path)
    (tmp_path / "terms.jsonl").write_text('{"text": "x", "aspects": []}\n' * 60, encoding="utf-8")
    recipe._folder = tmp_path
    plans = {plan.student: plan for plan in training_plans(recipe, run, 100, rows_done=False)}
    assert {name: plan.rows for name, plan in plans.items()} == {"both": 200, "one": 50, "terms": 20}
    assert (plans["both"].steps, plans["terms"].steps) == (40, 80)

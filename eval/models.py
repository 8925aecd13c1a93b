"""Who is compared: the teacher, the students, and the baselines that apply.

A student is opened once per seed. Its scores are means over the seeds; its paired tests, confusion matrix and
reliability diagram are those of one seed, the best by *validation* score, so that the test rows choose nothing.
Answers of several seeds are never averaged or put to a vote: that would be another, dearer model than the one shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from eval.baselines import ABOUT, Answerer, Answers, applicable, open_baseline, why_not
from eval.comparison import Role
from finetune.record import StudentRecord
from recipes.errors import RecipeError
from recipes.local_teacher import LocalTeacher
from recipes.runs import RunFolder, digest, file_digest
from recipes.schema import BASELINES, Recipe

BASELINE_VERSION = 1
"""Raised when a baseline changes, so that its predictions are made again."""


@dataclass(frozen=True)
class Entrant:
    """One set of answers to get: a baseline, or one seed of a student.

    inputs: sha256 of everything but the texts that its answers depend on.
    """

    name: str
    role: Role
    seed: int | None
    inputs: dict[str, str]
    open: Callable[[], Answerer]

    def stem(self) -> str:
        """Its name in predictions/ and manifests/; names hold no dot, so no two can meet."""
        return self.name if self.seed is None else f"{self.name}.seed-{self.seed}"


def roster(recipe: Recipe, run: RunFolder) -> list[str]:
    """Names to compare: those of the recipe, or the teacher, all students and the baselines that apply.

    Raises RecipeError for a name that is nobody's, and for a baseline that was named but does not apply.
    """
    named = recipe.evaluation.models
    if named is None:
        return ["teacher", *recipe.students, *applicable(recipe, run)]
    mistakes = []
    for name in named:
        if name in BASELINES:
            reason = why_not(recipe, run, name)
            if reason is not None:
                mistakes.append(f"evaluation.models: the baseline {name} does not apply here: {reason}")
        elif name != "teacher" and name not in recipe.students:
            known = ", ".join(["teacher", *recipe.students, *BASELINES])
            mistakes.append(f"evaluation.models: {name!r} is nobody to compare; known are {known}")
    if mistakes:
        raise RecipeError(mistakes)
    return list(dict.fromkeys(named))


def about(recipe: Recipe, name: str) -> str:
    """What a model is, in a few words."""
    if name == "teacher":
        teacher = recipe.teacher
        return f"{teacher.model}, {teacher.where()}" if isinstance(teacher, LocalTeacher) else teacher.model
    if name in ABOUT:
        return ABOUT[name]
    student = recipe.classifier(name)
    labels = "gold labels" if student.rows == "gold" else f"the teacher's {student.targets} labels"
    return f"{student.base}, trained on {labels}"


def baseline_entrant(recipe: Recipe, run: RunFolder, name: str) -> Entrant:
    """A baseline, to be fitted when its answers are wanted."""
    inputs = {
        "labels": digest(recipe.labels),
        "rows/train.jsonl": file_digest(run.rows / "train.jsonl"),
        "baseline": digest([name, BASELINE_VERSION]),
    }
    return Entrant(name, "baseline", None, inputs, lambda: open_baseline(recipe, run, name))


def student_entrants(recipe: Recipe, run: RunFolder, record: StudentRecord) -> list[Entrant]:
    """A trained student, once per seed."""
    name = record.name
    inputs = {
        "labels": digest(recipe.labels),
        f"students.{name} as trained": file_digest(run.student(name) / "student.json"),
    }
    return [Entrant(name, "student", seed, inputs, _opener(recipe, run, name, seed)) for seed in record.seeds]


def _opener(recipe: Recipe, run: RunFolder, name: str, seed: int) -> Callable[[], Answerer]:
    def open_seed() -> Answerer:
        from finetune.student import Student, open_student

        student = cast(Student, open_student(run, name, seed))
        columns = [student.labels.index(label) for label in recipe.labels]

        def answer(texts: Sequence[str]) -> Answers:
            probabilities = np.asarray(student.predict(texts), dtype=np.float64)[:, columns]
            return Answers(probabilities.argmax(axis=1), probabilities, student.cut, student.machine.precision)

        return answer

    return open_seed

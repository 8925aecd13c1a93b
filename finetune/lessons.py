"""What a student is taught: texts, and the label or the probabilities it should answer with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recipes.errors import RunError, TrainingError
from recipes.rows import LabelRow, Split, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.students import ClassifierStudent
from synth.splits import apportion, rank

Floats = npt.NDArray[np.float32]

GOLD_VALIDATION = 0.2
"""Share of the human labels of a student with a `limit` that chooses its best epoch; the rest trains it."""


@dataclass(frozen=True)
class Lesson:
    """One side of the split as a student sees it.

    targets: (n, labels) float32, columns in the recipe's order; rows sum to 1 but those of a teacher with multi_label.
    skipped: reason -> how many rows could not be used.
    """

    ids: list[str]
    texts: list[str]
    targets: Floats
    skipped: dict[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    def answers(self) -> npt.NDArray[np.int64]:
        """Index of the likeliest label of each row, (n,)."""
        return np.asarray(self.targets.argmax(axis=1), dtype=np.int64)

    def taught(self) -> set[int]:
        """Places of the labels that are some row's likeliest, or more likely than not."""
        likely = np.flatnonzero((self.targets > 0.5).any(axis=0))
        return {*self.answers().tolist(), *likely.tolist()}


def training_lesson(recipe: Recipe, name: str, run: RunFolder) -> Lesson:
    """What `name` trains on. Raises TrainingError where no row can be used."""
    student = recipe.classifier(name)
    lesson = _read(recipe, student, run, "train")
    if not len(lesson):
        whose = "a gold label (name source.label, or use rows: teacher)" if student.rows == "gold" else "a usable label"
        raise TrainingError(f"students.{name}: no row of {run.rows / 'train.jsonl'} has {whose}")
    if student.limit is None:
        return lesson
    spent = len(validation_lesson(recipe, name, run)) if student.rows == "gold" else 0
    return draw(lesson, max(1, student.limit - spent), recipe.source.seed)


def validation_lesson(recipe: Recipe, name: str, run: RunFolder) -> Lesson:
    """What chooses `name`'s best epoch: validation rows with labels of the kind it trains on; may be empty.

    Rows without a majority have no right answer and are left out. With `rows: gold` and a limit, human labels are what
    is scarce: GOLD_VALIDATION of the limit are used, and the training rows are so many fewer.
    """
    student = recipe.classifier(name)
    lesson = _read(recipe, student, run, "validation", need_label=True)
    if student.rows == "gold" and student.limit is not None:
        return draw(lesson, int(student.limit * GOLD_VALIDATION), recipe.source.seed)
    return lesson


def draw(lesson: Lesson, limit: int, seed: int) -> Lesson:
    """At most `limit` rows, labels in their proportions, in their order; the same for every seed of training."""
    if limit >= len(lesson):
        return lesson
    answers = lesson.answers().tolist()
    shares = apportion(limit, {str(label): count for label, count in Counter(answers).items()})
    chosen: list[int] = []
    for label, share in shares.items():
        places = [place for place, answer in enumerate(answers) if str(answer) == label]
        chosen += sorted(places, key=lambda place: rank(seed, f"limit:{lesson.ids[place]}"))[:share]
    chosen.sort()
    ids, texts = [lesson.ids[place] for place in chosen], [lesson.texts[place] for place in chosen]
    return Lesson(ids, texts, lesson.targets[chosen], lesson.skipped)


def _read(recipe: Recipe, student: ClassifierStudent, run: RunFolder, split: Split, need_label: bool = False) -> Lesson:
    path = run.rows / f"{split}.jsonl"
    if not path.exists():
        raise RunError(f"{path} is missing: run python -m synth on the recipe first")
    ids, texts, targets = [], [], []
    skipped: Counter[str] = Counter()
    for row in read_rows(path, LabelRow):
        target = _target(row, student, recipe, need_label)
        if isinstance(target, str):
            skipped[target] += 1
            continue
        ids.append(row.id)
        texts.append(row.text)
        targets.append(target)
    shaped = np.asarray(targets, dtype=np.float32).reshape(len(ids), len(recipe.labels))
    return Lesson(ids, texts, shaped, dict(skipped))


def _target(row: LabelRow, student: ClassifierStudent, recipe: Recipe, need_label: bool) -> list[float] | str:
    """The probabilities to learn from a row, or why there are none."""
    label, labels = row.gold if student.rows == "gold" else row.label, recipe.labels
    if label not in labels and (need_label or student.targets == "hard"):
        return "no gold label" if student.rows == "gold" else "no majority"
    if student.targets == "hard":
        return [float(label == one) for one in labels]
    if recipe.multi_label():
        return list(row.soft)  # of any sum: none of the labels may apply, or all
    total = sum(row.soft)
    return [share / total for share in row.soft] if total > 0 else "no soft label"

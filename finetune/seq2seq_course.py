"""One training of one seq2seq student: all that decides what its model becomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from finetune.bases import Base, find_base
from finetune.hardware import Machine
from finetune.seeds import taught_files
from finetune.seq2seq_codec import Seq2seqCodec
from finetune.seq2seq_lessons import Seq2seqLesson, make_lesson, render, task_of, training_rows, validation_rows
from finetune.seq2seq_model import load_seq2seq_tokenizer, seq2seq_machine
from finetune.seq2seq_scratch import make_t5_tokenizer
from finetune.silence import quiet
from recipes.aspects import TupleTask, target_text
from recipes.rows import AspectRow
from recipes.runs import RunFolder, digest
from recipes.schema import Recipe
from recipes.seq2seq_student import Seq2seqStudent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NO_MATTER = {"seeds", "push_to_hub", "parallel"}
"""Settings that a trained model does not depend on."""


@dataclass(frozen=True)
class Seq2seqCourse:
    """What one seed is trained on, from what, where; fields as those of `Course`. at_once: seeds on this device."""

    name: str
    student: Seq2seqStudent
    task: str
    seed: int
    base: Base
    codec: Seq2seqCodec
    training: Seq2seqLesson
    validation: Seq2seqLesson
    machine: Machine
    fingerprint: str
    title: str
    at_once: int = 1

    @property
    def tuple_task(self) -> TupleTask | None:
        """The task, where tuples are written and validation rows have some, whose micro F1 chooses the epoch; else the
        loss does.
        """
        if not any(isinstance(one.row, AspectRow) and one.row.aspects for one in self.validation.asked):
            return None
        if self.task == "atsa":
            return "atsa"
        return "acsa" if self.task == "acsa" else None

    @property
    def validated(self) -> bool:
        """Whether there are rows to choose the epoch by."""
        return len(self.validation.ids if self.tuple_task is None else self.validation.asked) > 0


def make_course(
    recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str], seed: int, at_once: int = 1
) -> Seq2seqCourse:
    """The course of one seed. Raises TrainingError for a base that cannot be used, and where there is no row."""
    student, task = recipe.seq2seq(name), task_of(recipe, name)
    base, rows = find_base(recipe, name, run, seed), training_rows(recipe, name, run)
    codec = Seq2seqCodec(tokenizer_for(recipe, name, run, base))
    training = make_lesson(codec, student, task, rows, "train")
    validation = make_lesson(codec, student, task, validation_rows(recipe, name, run), "validation", keep=True)
    return Seq2seqCourse(
        name, student, task, seed, base, codec, training, validation, seq2seq_machine(student.precision),
        fingerprint(recipe, name, run, inputs, seed), title_of(recipe, name, seed), at_once,
    )  # fmt: skip


def of_seed(course: Seq2seqCourse, recipe: Recipe, run: RunFolder, inputs: dict[str, str], seed: int) -> Seq2seqCourse:
    """The same course with another seed: rows and tokenizer do not depend on it."""
    name = course.name
    return replace(
        course, seed=seed, base=find_base(recipe, name, run, seed), title=title_of(recipe, name, seed),
        fingerprint=fingerprint(recipe, name, run, inputs, seed),
    )  # fmt: skip


def tokenizer_for(recipe: Recipe, name: str, run: RunFolder, base: Base) -> PreTrainedTokenizerBase:
    """The tokenizer of a student: its base's, or one that is trained on its rows."""
    student = recipe.seq2seq(name)
    with quiet():
        if student.base == "scratch":
            return make_t5_tokenizer(student, _texts(recipe, name, run))
        return load_seq2seq_tokenizer(base)


def _texts(recipe: Recipe, name: str, run: RunFolder) -> Iterator[str]:
    """All that a student will read and write of its training rows."""
    student = recipe.seq2seq(name)
    for row in training_rows(recipe, name, run):
        for target in student.writes(task_of(recipe, name)):
            yield render(student, target, row.text)
            yield target_text(row, target) or ""


def title_of(recipe: Recipe, name: str, seed: int) -> str:
    """What one training is called in sentences."""
    return f"student {name}" + (f", seed {seed}" if len(recipe.students[name].seeds) > 1 else "")


def fingerprint(recipe: Recipe, name: str, run: RunFolder, inputs: dict[str, str], seed: int) -> str:
    """sha256 of what a seed depends on. Of a student that this one is built on, it is its model that counts."""
    rest = {key: sha for key, sha in inputs.items() if key != "student" and not key.startswith("base students.")}
    decides = digest([rest, recipe.seq2seq(name).model_dump(exclude=_NO_MATTER)])
    return digest([decides, seed, taught_files(find_base(recipe, name, run, seed))])

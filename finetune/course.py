"""One training of one student: all that decides what its model becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.bases import Base
from finetune.hardware import Machine
from finetune.lessons import Lesson
from recipes.students import CausalStudent, ClassifierStudent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from finetune.causal_lessons import CausalLesson


@dataclass(frozen=True)
class Course:
    """What one seed of a classifier is trained on, from what, where.

    labels: in the order of the model's outputs. fingerprint: sha256 of all that the weights depend on.
    title: what this training is called in sentences. multi_label: whether each label is learnt apart from the others.
    """

    name: str
    student: ClassifierStudent
    labels: tuple[str, ...]
    seed: int
    base: Base
    training: Lesson
    validation: Lesson
    machine: Machine
    fingerprint: str
    title: str
    multi_label: bool = False


@dataclass(frozen=True)
class CausalCourse:
    """What one seed of a generative student is trained on, from what, where; fields as those of `Course`."""

    name: str
    student: CausalStudent
    seed: int
    base: Base
    tokenizer: PreTrainedTokenizerBase
    training: CausalLesson
    validation: CausalLesson
    machine: Machine
    fingerprint: str
    title: str


@dataclass(frozen=True)
class Saving:
    """When a checkpoint is written besides the end of each epoch. every_steps: 0 for never."""

    every_seconds: float = 300.0
    every_steps: int = 0

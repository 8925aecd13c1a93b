"""Exercises as tokens -> the tensors that a seq2seq model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from finetune.encoding import pad, padded_width
from finetune.packing import group
from finetune.seq2seq_course import Seq2seqCourse
from finetune.seq2seq_lessons import Seq2seqLesson
from finetune.seq2seq_loss import IGNORED


def step(course: Seq2seqCourse, places: Sequence[int], micro_tokens: int) -> dict[str, Any]:
    """One step of training: its micro-batches, and the tokens that are written in all of them together."""
    lesson = course.training
    parts = [tensors(course, lesson, part) for part in micro_batches(lesson, places, micro_tokens)]
    return {"micro": parts, "tokens": sum(len(lesson.targets[place]) for place in places)}


def micro_batches(lesson: Seq2seqLesson, places: Sequence[int], micro_tokens: int) -> list[list[int]]:
    """Exercises of like length together, at most about `micro_tokens` padded tokens, or one."""
    return group(places, lesson.lengths, lambda longest: micro_tokens // padded_width(longest))


def tensors(course: Seq2seqCourse, lesson: Seq2seqLesson, places: Sequence[int]) -> dict[str, Any]:
    """Exercises below each other: what is read, padded and masked; `labels` (n, longest), IGNORED for padding; and
    their `places`.
    """
    student = course.student
    batch: dict[str, Any] = dict(
        pad(course.codec.tokenizer, [lesson.sources[place] for place in places], student.max_length)
    )
    targets = [lesson.targets[place] for place in places]
    width = min(padded_width(max(len(ids) for ids in targets)), student.max_target_length)
    labels = np.full((len(places), width), IGNORED, dtype=np.int64)
    for row, ids in zip(labels, targets, strict=True):
        row[: len(ids)] = ids
    return batch | {"labels": torch.from_numpy(labels), "places": tuple(places)}

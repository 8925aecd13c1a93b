"""Exercises as tokens -> the tensors that a seq2seq model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finetune.encoding import padded_width
from finetune.packing import group
from finetune.seq2seq_course import Seq2seqCourse
from finetune.seq2seq_lessons import Ids, Seq2seqLesson
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
    sources, targets = [lesson.sources[place] for place in places], [lesson.targets[place] for place in places]
    pad = course.codec.tokenizer.pad_token_id
    return {
        "input_ids": _padded(sources, pad, course.student.max_length),
        "attention_mask": _padded([np.ones_like(ids) for ids in sources], 0, course.student.max_length),
        "labels": _padded(targets, IGNORED, course.student.max_target_length),
        "places": tuple(places),
    }


def _padded(texts: Sequence[Ids], fill: int, most: int) -> Tensor:
    """(n, longest) int64, filled up at the ends to a width that matrix units like, or to `most`."""
    table = np.full((len(texts), min(padded_width(max(map(len, texts))), most)), fill, dtype=np.int64)
    for row, ids in zip(table, texts, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(table)

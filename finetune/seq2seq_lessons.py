"""What a seq2seq student is taught: for each row, and each target of it, a text to read and a text to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from finetune.rejected import Rejected
from finetune.seq2seq_codec import Seq2seqCodec
from recipes.aspects import prefix, target_text
from recipes.errors import RunError, TrainingError
from recipes.rows import AspectRow, Split, UnderstandingRow, count_rows, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Seq2seqStudent, Target
from recipes.stages import rows_folder
from synth.splits import rank

TaughtRow = UnderstandingRow | AspectRow
Ids = npt.NDArray[np.int32]
"""Tokens of a text, (n,): a corpus of millions of rows is kept in memory so, and would not fit as lists."""
WINDOW = 4096
"""Exercises that are made into tokens together."""


@dataclass(frozen=True)
class Exercise:
    """A row, which of its targets is to be written, and how that reads."""

    row: TaughtRow
    target: Target
    written: str

    @property
    def id(self) -> str:
        return f"{self.row.id} ({self.target})" if isinstance(self.row, UnderstandingRow) else self.row.id


@dataclass(frozen=True)
class Seq2seqLesson:
    """One side of the split: what is learnt, by id, as tokens that are read and tokens that are written.

    lengths: tokens of both together. rejected: exercises whose targets are too long to be learnt. asked: all exercises,
    rejected ones too, where they are kept. cut: sources that were cut at max_length. unknown: targets with a character
    that the tokenizer has no token for. skipped: reason -> rows without a part that is to be written.
    """

    ids: list[str] = field(default_factory=list)
    sources: list[Ids] = field(default_factory=list)
    targets: list[Ids] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    asked: list[Exercise] = field(default_factory=list)
    cut: int = 0
    unknown: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def render(student: Seq2seqStudent, target: Target, text: str) -> str:
    """What the student reads to write `target` of a text, in training and afterwards."""
    return prefix(student, target) + text


def task_of(recipe: Recipe, name: str) -> str:
    """The task of the rows that a student learns."""
    data = recipe.seq2seq(name).data
    return recipe.task if data is None else recipe.datasets[data].task


def training_rows(recipe: Recipe, name: str, run: RunFolder) -> Iterator[TaughtRow]:
    """The rows that `name` trains on: its share, and at most its limit, the same for every seed of training.

    Raises RunError where they are not there, TrainingError where there is none.
    """
    student, there = recipe.seq2seq(name), rows_folder(recipe, name, run) / "train.jsonl"
    total = _count(there)
    if not total:
        raise TrainingError(f"students.{name}: {there} has no rows to train on")
    rows = _read(recipe, name, run, "train")
    if student.drawn(total) == total:
        yield from rows
        return
    source = recipe.source if student.data is None else recipe.datasets[student.data].source
    chosen = draw([row.id for row in rows], student.drawn(total), source.seed)
    yield from (row for place, row in enumerate(_read(recipe, name, run, "train")) if place in chosen)


def validation_rows(recipe: Recipe, name: str, run: RunFolder) -> Iterator[TaughtRow]:
    """The rows that choose the best epoch; may be none."""
    _count(rows_folder(recipe, name, run) / "validation.jsonl")
    return _read(recipe, name, run, "validation")


def draw(ids: Sequence[str], count: int, seed: int) -> set[int]:
    """The places of `count` rows; a smaller draw of the same seed is a part of a larger one."""
    return set(sorted(range(len(ids)), key=lambda place: rank(seed, f"limit:{ids[place]}"))[:count])


def _count(path: Path) -> int:
    if not path.exists():
        raise RunError(f"{path} is missing: run python -m synth on the recipe first")
    return count_rows(path)


def _read(recipe: Recipe, name: str, run: RunFolder, split: Split) -> Iterator[TaughtRow]:
    path = rows_folder(recipe, name, run) / f"{split}.jsonl"
    if task_of(recipe, name) == "understanding":
        yield from read_rows(path, UnderstandingRow)
    else:
        yield from read_rows(path, AspectRow)


def make_lesson(
    codec: Seq2seqCodec, student: Seq2seqStudent, task: str, rows: Iterable[TaughtRow], split: Split, keep: bool = False
) -> Seq2seqLesson:
    """Rows as exercises, and those as tokens; what has a longer target than max_target_length is rejected.

    keep: whether the exercises themselves are wanted too. Raises TrainingError where targets do not end with the end
    token: the student would never learn to stop.
    """
    made, skipped, cut, unknown = Seq2seqLesson(), Counter[str](), 0, 0
    exercises = _exercises(student, task, rows, skipped)
    unk = codec.tokenizer.unk_token_id
    while window := list(islice(exercises, WINDOW)):
        sources, cut_here = codec.sources(
            [render(student, one.target, one.row.text) for one in window], student.max_length
        )
        targets = codec.targets([one.written for one in window])
        _check_ends(codec, targets)
        for exercise, source, ids in zip(window, sources, targets, strict=True):
            _add(made, exercise, source["input_ids"], ids, student.max_target_length, split)
        made.asked.extend(window if keep else ())
        cut, unknown = cut + cut_here, unknown + sum(unk is not None and unk in ids for ids in targets)
    return replace(made, cut=cut, unknown=unknown, skipped=dict(skipped))


def _exercises(
    student: Seq2seqStudent, task: str, rows: Iterable[TaughtRow], skipped: Counter[str]
) -> Iterator[Exercise]:
    """One for each target of each row; `skipped` counts the targets that a row does not have."""
    for row in rows:
        for target in student.writes(task):
            written = target_text(row, target)
            if written is None:
                skipped[f"no {target}"] += 1
            else:
                yield Exercise(row, target, written)


def _add(
    made: Seq2seqLesson, exercise: Exercise, source: Sequence[int], target: Sequence[int], most: int, split: Split
) -> None:
    if len(target) > most:
        reason = f"longer than max_target_length {most}"
        made.rejected.append(Rejected(id=exercise.id, split=split, reason=reason, tokens=len(target)))
        return
    made.ids.append(exercise.id)
    made.sources.append(np.asarray(source, dtype=np.int32))
    made.targets.append(np.asarray(target, dtype=np.int32))
    made.lengths.append(len(source) + len(target))


def _check_ends(codec: Seq2seqCodec, targets: Sequence[Sequence[int]]) -> None:
    end = codec.tokenizer.eos_token_id
    if any(not ids or ids[-1] != end for ids in targets):
        raise TrainingError(
            "the tokenizer of the base does not put its end token after a text, and the student would never learn to "
            "stop: name another base, such as google-t5/t5-base"
        )

"""What a seq2seq student is taught: for each row, and each target of it, a text to read and a text to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from finetune.encoding import Encoded
from finetune.rejected import Rejected
from finetune.seq2seq_codec import Seq2seqCodec
from recipes.aspects import prefix, target_text
from recipes.errors import RunError, TrainingError
from recipes.rows import AspectRow, Split, UnderstandingRow, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Seq2seqStudent, Target
from recipes.stages import rows_folder
from synth.splits import rank

TaughtRow = TypeVar("TaughtRow", UnderstandingRow, AspectRow, UnderstandingRow | AspectRow)


@dataclass(frozen=True)
class Exercise:
    """A row, which of its targets is to be written, and how that reads."""

    row: UnderstandingRow | AspectRow
    target: Target
    written: str

    @property
    def id(self) -> str:
        return f"{self.row.id} ({self.target})" if isinstance(self.row, UnderstandingRow) else self.row.id


@dataclass(frozen=True)
class Seq2seqLesson:
    """One side of the split: what is learnt, as tokens that are read and tokens that are written.

    asked: all exercises, those of `rejected` too, whose targets are too long to be learnt. cut: sources that were cut
    at max_length. unknown: targets with a character that the tokenizer has no token for. skipped: reason -> rows
    without a part that is to be written.
    """

    exercises: list[Exercise]
    sources: list[Encoded]
    targets: list[list[int]]
    rejected: list[Rejected]
    asked: list[Exercise]
    cut: int = 0
    unknown: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.exercises)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each exercise, read and written."""
        return [len(one["input_ids"]) + len(ids) for one, ids in zip(self.sources, self.targets, strict=True)]


def render(student: Seq2seqStudent, target: Target, text: str) -> str:
    """What the student reads to write `target` of a text, in training and afterwards."""
    return prefix(student, target) + text


def task_of(recipe: Recipe, name: str) -> str:
    """The task of the rows that a student learns."""
    data = recipe.seq2seq(name).data
    return recipe.task if data is None else recipe.datasets[data].task


def training_rows(recipe: Recipe, name: str, run: RunFolder) -> Sequence[UnderstandingRow | AspectRow]:
    """The rows that `name` trains on: its share, and at most its limit, the same for every seed of training.

    Raises RunError where they are not there, TrainingError where there is none.
    """
    rows = _read(recipe, name, run, "train")
    if not rows:
        there = rows_folder(recipe, name, run) / "train.jsonl"
        raise TrainingError(f"students.{name}: {there} has no rows to train on")
    data = recipe.seq2seq(name).data
    source = recipe.source if data is None else recipe.datasets[data].source
    return draw(rows, recipe.seq2seq(name).drawn(len(rows)), source.seed)


def validation_rows(recipe: Recipe, name: str, run: RunFolder) -> Sequence[UnderstandingRow | AspectRow]:
    """The rows that choose the best epoch; may be empty."""
    return _read(recipe, name, run, "validation")


def draw(rows: Sequence[TaughtRow], count: int, seed: int) -> list[TaughtRow]:
    """`count` of the rows, in their order; a smaller draw of the same seed is a part of a larger one."""
    chosen = sorted(range(len(rows)), key=lambda place: rank(seed, f"limit:{rows[place].id}"))[:count]
    return [rows[place] for place in sorted(chosen)]


def _read(recipe: Recipe, name: str, run: RunFolder, split: Split) -> Sequence[UnderstandingRow | AspectRow]:
    path = rows_folder(recipe, name, run) / f"{split}.jsonl"
    if not path.exists():
        raise RunError(f"{path} is missing: run python -m synth on the recipe first")
    if task_of(recipe, name) == "understanding":
        return list(read_rows(path, UnderstandingRow))
    return list(read_rows(path, AspectRow))


def make_lesson(
    codec: Seq2seqCodec, student: Seq2seqStudent, task: str, rows: Sequence[UnderstandingRow | AspectRow], split: Split
) -> Seq2seqLesson:
    """Rows as exercises, and those as tokens; what has a longer target than max_target_length is rejected.

    Raises TrainingError where targets do not end with the end token: the student would never learn to stop.
    """
    asked, skipped = _exercises(student, task, rows)
    sources, cut = codec.sources([render(student, one.target, one.row.text) for one in asked], student.max_length)
    targets = codec.targets([one.written for one in asked])
    _check_ends(codec, targets)
    most = student.max_target_length
    kept = [place for place, ids in enumerate(targets) if len(ids) <= most]
    rejected = [
        Rejected(id=one.id, split=split, reason=f"longer than max_target_length {most}", tokens=len(ids))
        for one, ids in zip(asked, targets, strict=True)
        if len(ids) > most
    ]
    unk = codec.tokenizer.unk_token_id
    unknown = sum(unk is not None and unk in ids for ids in targets)
    return Seq2seqLesson(
        [asked[place] for place in kept], [sources[place] for place in kept], [targets[place] for place in kept],
        rejected, asked, cut, unknown, skipped,
    )  # fmt: skip


def _exercises(
    student: Seq2seqStudent, task: str, rows: Sequence[UnderstandingRow | AspectRow]
) -> tuple[list[Exercise], dict[str, int]]:
    found: list[Exercise] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        for target in student.writes(task):
            written = target_text(row, target)
            if written is None:
                skipped[f"no {target}"] += 1
            else:
                found.append(Exercise(row, target, written))
    return found, dict(skipped)


def _check_ends(codec: Seq2seqCodec, targets: Sequence[Sequence[int]]) -> None:
    end = codec.tokenizer.eos_token_id
    if any(not ids or ids[-1] != end for ids in targets):
        raise TrainingError(
            "the tokenizer of the base does not put its end token after a text, and the student would never learn to "
            "stop: name another base, such as google-t5/t5-base"
        )

"""Rows as a seq2seq student will see them: what is read, what is to be written, and what is cut or too long."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from finetune.rejected import name_rows
from finetune.seq2seq_codec import Seq2seqCodec
from finetune.seq2seq_lessons import make_lesson, render, task_of, training_rows
from recipes.console import printable
from recipes.counts import counted
from recipes.runs import RunFolder
from recipes.schema import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def preview_seq2seq(
    recipe: Recipe, name: str, run: RunFolder, count: int, console: Console, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Show the first `count` exercises of a student and figures of all. Raises TrainingError, RunError."""
    student, task = recipe.seq2seq(name), task_of(recipe, name)
    codec = Seq2seqCodec(tokenizer)
    lesson = make_lesson(codec, student, task, training_rows(recipe, name, run), "train", keep=True)
    console.print(Text(f"\nstudent {name}: {counted(len(lesson), 'text')} to write, base {student.base}", style="bold"))
    read = _figures([len(ids) for ids in lesson.sources])
    cut = f"max_length {student.max_length:,}: {counted(lesson.cut, 'text')} longer, and cut"
    console.print(Text(f"tokens read: {read}; {cut}"), soft_wrap=True)
    long = f"max_target_length {student.max_target_length:,}: {counted(len(lesson.rejected), 'target')} longer, and "
    long += "rejected from training" + (
        f": {name_rows([one.id for one in lesson.rejected])}" if lesson.rejected else ""
    )
    console.print(Text(f"tokens written: {_figures([len(ids) for ids in lesson.targets])}; {long}"), soft_wrap=True)
    if lesson.unknown:
        message = f"{counted(lesson.unknown, 'target')} with a character that the tokenizer does not know"
        console.print(Text(message, style="bold red"))
    for exercise in lesson.asked[:count]:
        read_as = render(student, exercise.target, exercise.row.text)
        (source,), (ids,) = codec.sources([read_as], student.max_length)[0], codec.targets([exercise.written])
        reads, writes = f"{len(source['input_ids']):,} tokens read", f"{len(ids):,} under the loss"
        console.print(Text(f"\nrow {exercise.id}: {reads}, {writes}", style="bold"))
        console.print(Text(printable(read_as), style="dim"), soft_wrap=True)
        console.print(Text(printable(codec.text(ids)), style="green"), soft_wrap=True)


def _figures(lengths: Sequence[int]) -> str:
    return f"median {median(lengths):,.0f}, longest {max(lengths):,}" if lengths else "none"

"""Rows as a student will see them: which text is prompt, which is under the loss, and what is too long.

Nothing is trained and no weights are loaded: the tokenizer is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from finetune.bases import find_base, load_tokenizer
from finetune.causal_lessons import training_rows
from finetune.causal_model import load_causal_tokenizer
from finetune.encoding import encode
from finetune.formats import Renderer
from finetune.lessons import training_lesson
from finetune.rejected import name_rows
from finetune.rendering_tokens import Codec
from finetune.scratch import make_tokenizer
from finetune.seq2seq_course import tokenizer_for
from finetune.seq2seq_preview import preview_seq2seq
from finetune.silence import quiet
from recipes.console import printable
from recipes.counts import counted
from recipes.rows import ResponseRow
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT, REASONING, RESPONSE, SPECIAL, CUT, MARK = "dim", "cyan", "green", "bold magenta", "red strike", "bold red"


@dataclass(frozen=True, slots=True)
class Measured:
    """A row as tokens: the prompt, then from `start` what is under the loss, then from `response` the response."""

    row: ResponseRow
    ids: list[int]
    start: int
    response: int


def preview_student(recipe: Recipe, name: str, run: RunFolder, count: int, console: Console) -> None:
    """Show the first `count` training rows of a student and figures of all. Raises TrainingError, RunError."""
    with quiet():
        tokenizer = tokenizer_of(recipe, name, run)
    kind = recipe.students[name].kind
    if kind == "seq2seq":
        preview_seq2seq(recipe, name, run, count, console, tokenizer)
    elif kind == "classifier":
        _preview_classifier(recipe, name, run, count, console, tokenizer)
    else:
        _preview_causal(recipe, name, run, count, console, tokenizer)


def tokenizer_of(recipe: Recipe, name: str, run: RunFolder) -> PreTrainedTokenizerBase:
    """The tokenizer that a student has, or will have once it is trained."""
    student, other = recipe.students[name], recipe.base_student(name)
    if other is not None and run.why_stale(f"student-{other}", student_inputs(recipe, other, run)):
        return tokenizer_of(recipe, other, run)
    if student.kind == "seq2seq":
        return tokenizer_for(recipe, name, run, find_base(recipe, name, run))
    if student.base == "scratch":
        return make_tokenizer(recipe.causal(name), training_rows(recipe, name, run))
    load = load_tokenizer if student.kind == "classifier" else load_causal_tokenizer
    return load(find_base(recipe, name, run))


def _preview_causal(
    recipe: Recipe, name: str, run: RunFolder, count: int, console: Console, tokenizer: PreTrainedTokenizerBase
) -> None:
    student = recipe.causal(name)
    renderer, codec = Renderer(student, tokenizer), Codec(tokenizer)
    rows = []
    for row in training_rows(recipe, name, run):
        whole = renderer.encode(row)
        rows.append(Measured(row, whole.input_ids, whole.start, renderer.encode_response(row).start))
    console.print(
        _heading(f"student {name}: {len(rows):,} training rows, format {student.format}, base {student.base}")
    )
    console.print(_lengths(rows))
    long = [one for one in rows if len(one.ids) > student.max_length]
    console.print(Text(_too_long(long, student.max_length)), soft_wrap=True)
    for one in [*rows[:count], *([max(long, key=lambda one: len(one.ids))] if long and count else [])]:
        _show(one, student.max_length, console, codec)


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _lengths(rows: Sequence[Measured]) -> Table:
    """Tokens of each part of the rows."""
    parts = {
        "prompt": [one.start for one in rows],
        "reasoning": [one.response - one.start for one in rows],
        "response": [len(one.ids) - one.response for one in rows],
        "all": [len(one.ids) for one in rows],
    }
    table = Table("tokens", *parts, box=None, header_style="")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("median", *(f"{median(lengths):,.0f}" for lengths in parts.values()))
    table.add_row("longest", *(f"{max(lengths):,}" for lengths in parts.values()))
    return table


def _too_long(long: Sequence[Measured], most: int) -> str:
    if not long:
        return f"max_length {most:,}: no row is longer"
    ids, are = name_rows([one.row.id for one in long]), "is" if len(long) == 1 else "are"
    return f"max_length {most:,}: {counted(len(long), 'row')} {are} longer, and {are} rejected from training: {ids}"


def _show(one: Measured, most: int, console: Console, codec: Codec) -> None:
    """One row: its parts with their token counts, each in its colour; what lies beyond max_length struck out."""
    total, spoken = len(one.ids), len(one.ids) - one.start
    verdict = f"rejected: over max_length {most:,}" if total > most else f"{spoken:,} under the loss"
    console.print(_heading(f"row {one.row.id}: {total:,} tokens, {verdict}"))
    parts = [
        ("prompt, not under the loss", PROMPT, 0, one.start),
        ("reasoning and its tags", REASONING, one.start, one.response),
    ]
    for title, style, start, end in [*parts, ("response and end", RESPONSE, one.response, total)]:
        if start == end:
            continue
        console.print(Text(f"--- {title}: {end - start:,} tokens", style="bold"))
        kept = max(start, min(end, most))
        text = Text()
        for piece, special in _segments(one.ids[start:kept], codec):
            text.append(printable(piece), style=SPECIAL if special else style)
        if start <= most < end:
            text.append(f"[max_length {most:,} ends here]", style=MARK)
        for piece, _ in _segments(one.ids[kept:end], codec):
            text.append(printable(piece), style=CUT)
        console.print(text, soft_wrap=True)


def _segments(ids: Sequence[int], codec: Codec) -> Iterator[tuple[str, bool]]:
    """The text of tokens, added tokens (such as the end of a turn) apart from words that only spell one."""
    words: list[int] = []
    for token in ids:
        if token in codec.added:
            yield codec.decode(words), False
            yield codec.decode([token]), True
            words = []
        else:
            words.append(token)
    yield codec.decode(words), False


def _preview_classifier(
    recipe: Recipe, name: str, run: RunFolder, count: int, console: Console, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Text, target and token count."""
    student, lesson = recipe.classifier(name), training_lesson(recipe, name, run)
    encoded, cut = encode(tokenizer, lesson.texts, student.max_length)
    lengths = [len(one["input_ids"]) for one in encoded]
    console.print(
        _heading(f"student {name}: {len(lesson):,} training rows, {student.targets} targets, base {student.base}")
    )
    figures = f"tokens: median {median(lengths):,.0f}, longest {max(lengths):,}"
    console.print(Text(f"{figures}; max_length {student.max_length:,}: {cut:,} texts are longer, and are cut"))
    for place in range(min(count, len(lesson))):
        console.print(_heading(f"row {lesson.ids[place]}: {lengths[place]:,} tokens"))
        targets = zip(recipe.labels, lesson.targets[place].tolist(), strict=True)
        console.print(Text(printable(lesson.texts[place])), soft_wrap=True)
        console.print(Text(", ".join(f"{label} {share:.2f}" for label, share in targets), style=RESPONSE))

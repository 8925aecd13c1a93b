"""The asking pass of a local teacher: every text that the journal has no scores of goes through the model.

A few thousand texts at a time, so that memory does not grow with their number and texts of like length still meet. The
journal is written after each batch: a kill loses one batch a process at most.

Several processes (synth/processes.py): each takes a share of the texts, and the first one journals what all of them
made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from recipes.chat import ChatRequest, Reply
from recipes.console import say
from recipes.counts import counted
from recipes.errors import TeacherError, TrainingError
from recipes.rows import Example
from recipes.schema import Recipe
from synth import processes
from synth.examples import Examples
from synth.journal import Journal
from synth.progress import Progress
from synth.tasks.scores import Scores, ScoreTask

WINDOW = 4096
"""Texts that are sorted by length together, of each process."""
UNSYNCED = 500
"""Replies that a power cut may take."""

Scored = list[tuple[int, Scores]]
"""Texts by their places, with their scores."""


class Scorer(Protocol):
    """A model that scores texts."""

    def score(self, texts: Sequence[str]) -> Iterator[Scored]: ...


def label_texts(recipe: Recipe, task: ScoreTask, examples: Examples, journal: Journal, helped: bool) -> None:
    """Have the teacher score the texts that are not on record, and show how it goes.

    helped: whether the other processes take part (`help_label`). Raises TeacherError where the model cannot be loaded
    or used; what it scored until then is in the journal.
    """
    left = sum(1 for _ in _waiting(task, examples, journal))
    if not left:
        return
    helpers = helped and processes.count() > 1
    if helpers:
        tell([])  # all load the model at once
    model = open_scorer(recipe, left, processes.count() if helpers else 1)
    waiting, most = _waiting(task, examples, journal), WINDOW * (processes.count() if helpers else 1)
    with Progress("rows", left) as progress:
        while window := list(islice(waiting, most)):
            texts = [example.fields["text"] for example, _ in window]
            if helpers:
                tell(texts)
            for scored in _together(model, texts) if helpers else model.score(texts):
                for place, scores in scored:
                    example, request = window[place]
                    journal.put(request.key(), example.id, Reply(scores.write()), model=task.teacher.model)
                    progress.row()
                if journal.unsynced >= UNSYNCED:
                    journal.sync()


def _waiting(task: ScoreTask, examples: Examples, journal: Journal) -> Iterator[tuple[Example, ChatRequest]]:
    """The examples without a reply, each with its request."""
    for example in examples.stream():
        request = task.request(example)
        if journal.get(request.key()) is None:
            yield example, request


def open_scorer(recipe: Recipe, left: int, several: int) -> Scorer:
    """The recipe's teacher, loaded. left: texts that so many processes will score. Raises TeacherError."""
    from synth.machine import find_machine

    teacher = recipe.local_teacher()
    try:
        machine = find_machine(teacher.precision)
    except TrainingError as error:
        raise TeacherError(f"teacher.{error}") from None
    where = machine.about + (f", {several} processes" if several > 1 else "")
    say(f"rows: {counted(left, 'text')} to label with {teacher.model}; {where}")
    if teacher.provider == "embedding":
        from synth.embedding import open_embedding

        return open_embedding(recipe, machine)
    from synth.zero_shot import open_nli

    return open_nli(recipe, machine)


def help_label(recipe: Recipe) -> None:
    """Take part in the first process's `label_texts`, until it says that all is done (`dismiss`)."""
    model: Scorer | None = None
    while (texts := tell(None)) is not None:
        model = model or open_scorer(recipe, 0, processes.count())
        for _ in _together(model, texts) if texts else ():
            pass


def dismiss() -> None:
    """Tell those who help that there is nothing more to do."""
    tell(None)


def tell(texts: Sequence[str] | None) -> Sequence[str] | None:
    """What the first process says to all: the next texts, none (load the model), or None (it is over). Returns it."""
    return processes.agree(lambda: texts)


def _together(model: Scorer, texts: Sequence[str]) -> Iterator[Scored]:
    """The same as `model.score`, by all processes, each of which calls it: every so many-th text by length is scored
    here, so that all do like work.
    """
    order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))[
        processes.rank() :: processes.count()
    ]
    mine = model.score([texts[place] for place in order])
    while True:
        batch = next(mine, None)
        part = None if batch is None else [(order[place], scores) for place, scores in batch]
        parts = processes.gather(part)
        if all(one is None for one in parts):
            return
        yield [pair for one in parts if one is not None for pair in one]

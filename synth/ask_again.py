"""Asking anew about rows whose replies could not be used: for a teacher that was mended on its own side.

The journal answers a request for ever; here its answers to such rows are withdrawn. They stay in the file, and in what
was spent. The withdrawal is noted in the run folder until the rows are written, so that a run that was killed half-way
goes on and does not ask twice.
"""

from __future__ import annotations

from recipes.chat import ChatRequest, Reply
from recipes.console import say
from recipes.errors import TeacherError
from recipes.local_teacher import LOCAL
from recipes.rows import Example, Reject
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.examples import Examples
from synth.journal import Failure, Journal
from synth.tasks.asking import Task
from synth.trial import TRIAL

AGAIN = "ask-again"
"""Stage of the manifest that is there from the withdrawal until the rows are written."""


def refuse_nobody(recipe: Recipe) -> None:
    """Raise TeacherError where there is nobody to ask again."""
    if recipe.teacher.provider in LOCAL:
        raise TeacherError(f"--ask-again: {recipe.teacher.model} on this machine would say the same again")
    if not recipe.asks() or recipe.teacher.provider == "recorded":
        raise TeacherError(
            f"--ask-again: the teacher of {recipe.name} is {recipe.teacher.provider}: nobody can be asked"
        )


def withdraw_unusable(run: RunFolder, inputs: dict[str, str], task: Task, examples: Examples, journal: Journal) -> None:
    """Withdraw all replies to the rows of which the teacher's replies make none; `inputs`: those of the rows stage."""
    if not run.why_stale(AGAIN, inputs):
        say("rows: the last --ask-again did not end: it goes on, and what it has asked is not asked twice")
        return
    rows = replies = 0
    for example in examples.stream():
        requests = _unusable(task, example, journal)
        if requests and not rows:
            run.begin("rows")
        rows += bool(requests)
        replies += len(requests)
        for request in requests:
            journal.withdraw(request.key(), example.id, sample=request.sample, model=request.model)
    if not rows:
        say("rows: no row was rejected for what the teacher replied: there is nothing to ask again")
        return
    journal.sync()
    run.manifest_path(TRIAL).unlink(missing_ok=True)  # its rows are no longer on record
    say(
        f"rows: {rows:,} were rejected for what the teacher replied and are asked about anew; the {replies:,} old "
        "replies stay in the journal and in what was spent"
    )
    run.finish(AGAIN, inputs, [], {"rows": rows, "replies": replies})


def _unusable(task: Task, example: Example, journal: Journal) -> list[ChatRequest]:
    """The answered requests of an example that is settled as a reject; none for any other."""
    answered: list[ChatRequest] = []

    def lookup(request: ChatRequest) -> Reply | Failure | None:
        found = journal.get(request.key())
        if found is not None:
            answered.append(request)
        return found

    row = task.advance(example, lookup)[1]
    return answered if isinstance(row, Reject) else []

"""The rows stage: read the source, ask the teacher what is not in the journal yet, write rows and rejects.

Two passes over the examples. Asking streams them past the pump, which journals every reply at once; writing streams
them again in source order and reads the journal only. A changed parser therefore costs no call, a changed prompt asks
again, and a new row asks for itself alone. Where nobody has to be asked there is the second pass only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes.console import say
from recipes.counts import counted
from recipes.local_teacher import LocalTeacher
from recipes.plan import asked_as, confirm_spend
from recipes.prompts import Prompt, load_prompt, load_prompts
from recipes.rows import SPLITS, Example, Reject, row_writer
from recipes.runs import Manifest, RunFolder, write_atomic
from recipes.schema import Recipe
from recipes.stages import rows_inputs
from synth.ask_again import AGAIN, refuse_nobody, withdraw_unusable
from synth.card import dataset_card
from synth.examples import Examples
from synth.funnel import Funnel, summary
from synth.journal import Journal
from synth.screen import Screen
from synth.tasks.asking import Settled, Task
from synth.tasks.given import GivenRows
from synth.tasks.labels import LabelTask
from synth.tasks.reasoning import ReasoningTask
from synth.tasks.scores import ScoreTask
from synth.tasks.understanding import UnderstandingTask

STAGE = "rows"
Settle = Callable[[Example], Settled]
"""What becomes of an example."""


class Unasked(Exception):
    """The journal lacks a reply, so that the rows cannot be written yet."""


def build_dataset(
    recipe: Recipe, run: RunFolder, yes: bool = False, ask_again: bool = False, helped: bool = False
) -> Manifest:
    """Bring rows/ up to date and return its manifest.

    yes: agreed to what the first paid call starts, and to going on after a trial that failed. ask_again: ask anew about
    the rows that were rejected for what the teacher replied. helped: whether other processes take part in the labelling
    by a local teacher (synth/labelling.py).

    Raises SourceError, TeacherError (BudgetError), RunError; replies received until then are in the journal.
    """
    if ask_again:
        refuse_nobody(recipe)
    inputs = rows_inputs(recipe)
    stale = run.why_stale(STAGE, inputs)
    manifest = run.manifest(STAGE)
    if not stale and not ask_again and manifest is not None:
        say(f"rows: up to date ({manifest.facts['kept']:,} kept, {run.rows})")
        return manifest
    if stale:
        say(f"rows: {'; '.join(stale)}")
    confirm_spend(recipe, run, yes)
    run.start(STAGE)
    local = isinstance(recipe.teacher, LocalTeacher)
    prompt = None if local or not recipe.asks() else load_prompt(recipe)
    told: dict[str, Any] = {}
    with ExitStack() as opened:
        screen = opened.enter_context(Screen(recipe))
        examples = opened.enter_context(Examples(recipe.source))
        examples.read(recipe)
        for sentence in (*examples.shortfalls(), *examples.conflicts()):
            say(sentence)
        if local:
            journal = opened.enter_context(_journal(recipe, run))
            funnel, told = _label_and_write(recipe, run, screen, examples, journal, helped)
        elif prompt is None:
            funnel = Funnel(recipe, examples.counts(), examples.left_out())
            given = GivenRows(recipe.task)
            _write(run, given.row, screen, examples, funnel)
            told = given.facts()
        else:
            journal = opened.enter_context(_journal(recipe, run))
            task = open_task(recipe, prompt)
            if ask_again:
                withdraw_unusable(run, inputs, task, examples, journal)
            funnel = _ask_and_write(recipe, run, inputs, task, screen, examples, journal, yes)
            told = task.facts() if isinstance(task, UnderstandingTask) else {}
    return _finish(recipe, run, prompt, funnel, inputs, told)


def open_task(recipe: Recipe, prompt: Prompt) -> Task:
    """What the teacher of `recipe` is asked."""
    if recipe.task == "understanding":
        return UnderstandingTask(recipe, load_prompts(recipe))
    return LabelTask(recipe, prompt) if recipe.task == "classify" else ReasoningTask(recipe, prompt)


def _ask_and_write(
    recipe: Recipe,
    run: RunFolder,
    inputs: dict[str, str],
    task: Task,
    screen: Screen,
    examples: Examples,
    journal: Journal,
    yes: bool,
) -> Funnel:
    """Write the rows that the journal makes, when it has a reply to all that is to be asked."""

    def write(whole: bool) -> Funnel:
        funnel = Funnel(recipe, examples.counts())
        lookup = funnel.watch(lambda request: journal.get(request.key()))

        def settle(example: Example) -> Settled:
            if not whole:
                return task.settle(example, lookup)
            found = task.advance(example, lookup)[1]
            if found is None:
                raise Unasked
            return found

        _write(run, settle, screen, examples, funnel)
        return funnel

    if recipe.teacher.provider == "recorded":
        return write(whole=False)
    if journal.replies >= examples.counts()["drawn"]:  # else something is missing for sure
        try:
            return write(whole=True)
        except Unasked:
            pass
    from synth.ask import ask_teacher  # asyncio, a network: not for replies on record

    ask_teacher(recipe, run, inputs, task, screen, examples, journal, yes)
    return write(whole=False)


def _label_and_write(
    recipe: Recipe, run: RunFolder, screen: Screen, examples: Examples, journal: Journal, helped: bool
) -> tuple[Funnel, dict[str, Any]]:
    """Have a local teacher score what is not on record, calibrate, and write the rows; the task's own figures too."""
    from synth.labelling import label_texts

    task = ScoreTask(recipe)
    label_texts(recipe, task, examples, journal, helped)
    task.calibrate(examples.stream(), lambda request: journal.get(request.key()))
    funnel = Funnel(recipe, examples.counts())
    lookup = funnel.watch(lambda request: journal.get(request.key()))
    _write(run, lambda example: task.settle(example, lookup), screen, examples, funnel)
    return funnel, task.facts()


def _journal(recipe: Recipe, run: RunFolder) -> Journal:
    """The journal to read replies from: the run's own, or the recorded one, which is not written to."""
    if recipe.teacher.journal is None:
        return Journal.open(run.journal, asked=asked_as(recipe))
    return Journal.open(recipe.resolve(recipe.teacher.journal), readonly=True)


def _row_files(run: RunFolder) -> list[Path]:
    return [run.rows / f"{name}.jsonl" for name in (*SPLITS, "rejects")]


def _write(run: RunFolder, settle: Settle, screen: Screen, examples: Examples, funnel: Funnel) -> None:
    """Settle every example in source order; the files appear when all are written, and none of them before."""
    screen.begin()
    with ExitStack() as files:
        files.callback(_drop_partials, run)
        *splits, reject = [files.enter_context(row_writer(path)) for path in _row_files(run)]
        keep = dict(zip(SPLITS, splits, strict=True))
        for unfit in examples.rejects():
            reject(unfit)
        for example in examples.stream():
            row = screen.judge(settle(example))
            if isinstance(row, Reject):
                funnel.reject(row)
                reject(row)
            else:
                funnel.keep(row)
                keep[row.split](row)
        funnel.check()
        run.begin(STAGE)


def _drop_partials(run: RunFolder) -> None:
    """Remove what a pass that did not come to its end has written."""
    for path in _row_files(run):
        path.with_name(path.name + ".partial").unlink(missing_ok=True)


def _finish(
    recipe: Recipe,
    run: RunFolder,
    prompt: Prompt | None,
    funnel: Funnel,
    inputs: dict[str, str],
    figures: dict[str, Any],
) -> Manifest:
    """figures: those of the task, beside those of the funnel."""
    facts = funnel.facts() | figures
    card = run.rows / "README.md"
    write_atomic(card, dataset_card(recipe, prompt, facts, run.rows).encode())
    for line in summary(facts):
        say(line)
    if facts.get("cut"):
        most = facts.get("most")
        why = f"it takes {most} tokens, whatever teacher.max_length" if most else "teacher.max_length"
        say(f"rows: the teacher did not see the end of {counted(facts['cut'], 'text')} ({why})")
    if funnel.without_logprobs:
        say(f"rows: {funnel.without_logprobs:,} replies came without logprobs; their soft labels are the votes' shares")
    if funnel.passing:
        say(
            f"rows: {funnel.passing:,} requests failed for a passing reason, most of them as {facts['failed_as']}; the "
            "same command asks for them again"
        )
    lost = facts["reasons"].get("not_recorded", 0)
    if lost:
        told = "" if recipe.teacher.base_url else ", and teacher.base_url that run's address, which is not named here"
        say(
            f"rows: {lost:,} have no reply in {recipe.teacher.journal} to what is asked of them now: the model, the "
            f"prompt, the sampling and synthesis.output must be those of the run that recorded it{told}"
        )
    if funnel.unusable and recipe.teacher.provider != "recorded":
        say(
            f"rows: {funnel.unusable:,} were rejected for what the teacher replied, and their replies count for ever; "
            "once the teacher is mended on its own side, python -m synth RECIPE --ask-again asks about them anew"
        )
    written = run.finish(STAGE, inputs, [*_row_files(run), card], facts, complete=not funnel.passing)
    run.manifest_path(AGAIN).unlink(missing_ok=True)
    return written

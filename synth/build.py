"""The rows stage: read the source, ask the teacher what is not in the journal yet, write rows and rejects.

Two passes over the examples. Asking streams them past the pump, which journals every reply at once; writing streams
them again in source order and reads the journal only. A changed parser therefore costs no call, a changed prompt asks
again, and a new row asks for itself alone. A task without a teacher has the second pass only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from recipes.console import say
from recipes.plan import confirm_spend
from recipes.prompts import Prompt, load_prompt
from recipes.rows import SPLITS, Example, LabelRow, Reject, ResponseRow, row_writer
from recipes.runs import Manifest, RunFolder, write_atomic
from recipes.schema import TEACHERLESS, Recipe
from recipes.stages import rows_inputs
from synth.card import dataset_card
from synth.examples import Examples
from synth.filters import label_reject
from synth.funnel import Funnel, summary
from synth.journal import Journal
from synth.quality import Quality
from synth.tasks.asking import Task
from synth.tasks.given import given_row
from synth.tasks.labels import LabelTask
from synth.tasks.reasoning import ReasoningTask

STAGE = "rows"
Settled = LabelRow | ResponseRow | Reject


def build_dataset(recipe: Recipe, run: RunFolder, yes: bool = False) -> Manifest:
    """Bring rows/ up to date and return its manifest. `yes`: ask no question before the first paid call.

    Raises SourceError, TeacherError (BudgetError), RunError; replies received until then are in the journal.
    """
    inputs = rows_inputs(recipe)
    stale = run.why_stale(STAGE, inputs)
    manifest = run.manifest(STAGE)
    if not stale and manifest is not None:
        say(f"rows: up to date ({manifest.facts['kept']:,} kept, {run.rows})")
        return manifest
    say(f"rows: {'; '.join(stale)}")
    confirm_spend(recipe, run, yes)
    prompt = None if recipe.task in TEACHERLESS else load_prompt(recipe)
    with ExitStack() as opened:
        judge = _filter(recipe, opened)
        examples = opened.enter_context(Examples(recipe.source))
        examples.read(recipe)
        for sentence in examples.shortfalls():
            say(sentence)
        funnel = Funnel(recipe, examples.counts())
        if prompt is None:
            settle = _given(recipe)
        else:
            settle = _asked(recipe, prompt, examples, opened.enter_context(_journal(recipe, run)), funnel)
        run.begin(STAGE)
        outputs = _write(run, settle, judge, examples, funnel)
    return _finish(recipe, run, prompt, funnel, inputs, outputs)


def _given(recipe: Recipe) -> Callable[[Example], Settled]:
    return lambda example: given_row(recipe.task, example)


def _asked(
    recipe: Recipe, prompt: Prompt, examples: Examples, journal: Journal, funnel: Funnel
) -> Callable[[Example], Settled]:
    """Ask for what is not in the journal yet; then what makes a row of each example out of the journal."""
    task: Task = LabelTask(recipe, prompt) if recipe.task == "classify" else ReasoningTask(recipe, prompt)
    if recipe.teacher.provider != "recorded":
        from synth.ask import ask_teacher  # asyncio, a network: not for replies on record

        ask_teacher(recipe, task, examples, journal)
    lookup = funnel.watch(lambda request: journal.get(request.key()), task.opening)
    return lambda example: task.settle(example, lookup)


def _journal(recipe: Recipe, run: RunFolder) -> Journal:
    """The journal to read replies from: the run's own, or the recorded one, which is not written to."""
    if recipe.teacher.journal is None:
        return Journal.open(run.journal)
    return Journal.open(recipe.resolve(recipe.teacher.journal), readonly=True)


def _filter(recipe: Recipe, opened: ExitStack) -> Callable[[LabelRow | ResponseRow], Reject | None]:
    """What says which reject a row becomes, or None where it is kept."""
    quality = None if recipe.task == "classify" else opened.enter_context(Quality(recipe))

    def judge(row: LabelRow | ResponseRow) -> Reject | None:
        if isinstance(row, LabelRow):
            return label_reject(row, recipe.synthesis)
        return None if quality is None else quality.reject(row)

    return judge


def _write(
    run: RunFolder,
    settle: Callable[[Example], Settled],
    judge: Callable[[LabelRow | ResponseRow], Reject | None],
    examples: Examples,
    funnel: Funnel,
) -> list[Path]:
    """Settle every example in source order; the files appear when all are written."""
    rejects = run.rows / "rejects.jsonl"
    with ExitStack() as files:
        keep = {split: files.enter_context(row_writer(run.rows / f"{split}.jsonl")) for split in SPLITS}
        reject = files.enter_context(row_writer(rejects))
        for unfit in examples.rejects():
            reject(unfit)
        for example in examples.stream():
            row = settle(example)
            if not isinstance(row, Reject):
                row = judge(row) or row
            if isinstance(row, Reject):
                funnel.reject(row)
                reject(row)
            else:
                funnel.keep(row)
                keep[row.split](row)
        funnel.check()
    return [*(run.rows / f"{split}.jsonl" for split in SPLITS), rejects]


def _finish(
    recipe: Recipe, run: RunFolder, prompt: Prompt | None, funnel: Funnel, inputs: dict[str, str], outputs: list[Path]
) -> Manifest:
    facts = funnel.facts()
    card = run.rows / "README.md"
    write_atomic(card, dataset_card(recipe, prompt, facts).encode())
    for line in summary(facts):
        say(line)
    if funnel.without_logprobs:
        say(f"rows: {funnel.without_logprobs:,} replies came without logprobs; their soft labels are the votes' shares")
    if funnel.passing:
        say(f"rows: {funnel.passing:,} requests failed for a passing reason; the same command asks for them again")
    return run.finish(STAGE, inputs, [*outputs, card], facts, complete=not funnel.passing)

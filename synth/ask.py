"""The asking pass: every example past the pump, every reply into the journal."""

from __future__ import annotations

import asyncio

from recipes.chat import ChatRequest
from recipes.console import say
from recipes.errors import BudgetError
from recipes.rows import Example, Reject
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.ask_again import AGAIN
from synth.budget import Budget
from synth.examples import Examples
from synth.journal import Journal
from synth.progress import Progress
from synth.pump import Enough, ask_all
from synth.screen import Screen
from synth.tasks.asking import Lookup, Settled, Task
from synth.teacher import open_teacher
from synth.trial import TRIAL, Trial


def ask_teacher(
    recipe: Recipe,
    run: RunFolder,
    inputs: dict[str, str],
    task: Task,
    screen: Screen,
    examples: Examples,
    journal: Journal,
    yes: bool,
) -> None:
    """Send the requests that the journal does not answer yet, and show how it goes. inputs: those of the rows stage.

    yes: go on where the trial of the same recipe failed before; else it fails again, on the replies on record.

    Rows are filtered as they come, for the count and for the trial; what is kept is said by the pass that writes them.
    Raises what `ask_all` raises.
    """
    price = recipe.teacher.price
    spend = None if price is None else lambda: price.cost(journal.usage)
    drawn = examples.counts()["drawn"]
    trial = Trial(drawn, yes and not run.why_stale(TRIAL, inputs), recipe.teacher.is_paid())
    if trial.held:
        say("rows: the first rows of this recipe were nearly all rejected; --yes says to go on all the same")
    screen.begin()
    try:
        with Progress("rows", drawn, spend) as progress:
            asyncio.run(_ask(recipe, task, screen, examples, journal, progress, trial))
    except BudgetError as stop:
        done = progress.kept + progress.rejected.total()
        fewer = (
            f"or lower source.train and source.test: {done:,} of {drawn:,} rows are answered, and are not asked again"
        )
        raise BudgetError(f"{stop}; {fewer}") from None
    except Enough as stop:
        facts = {"judged": trial.judged, "kept": trial.kept, "reasons": dict(trial.rejects)}
        run.finish(TRIAL, inputs, [], facts)
        run.manifest_path(AGAIN).unlink(missing_ok=True)
        again = "with nothing changed the same command stops here again, and goes on with --yes"
        mended = "where the teacher was mended on its own side, --ask-again asks it anew"
        raise Enough(f"{stop}. All replies are in {journal.path}; {again}; {mended}") from None


async def _ask(
    recipe: Recipe,
    task: Task,
    screen: Screen,
    examples: Examples,
    journal: Journal,
    progress: Progress,
    trial: Trial,
) -> None:
    price, cap = recipe.teacher.price, recipe.synthesis.budget_usd
    budget = None if price is None or cap is None else Budget(price, cap, journal.usage)
    found: Settled | None = None

    def missing(example: Example, lookup: Lookup) -> list[ChatRequest]:
        nonlocal found
        requests, found = task.advance(example, lookup)
        return requests

    def done(_: Example) -> None:
        assert found is not None, "the pump says so right after `missing` was empty for the same example"
        row = screen.judge(found)
        progress.row(row.reason if isinstance(row, Reject) else None)
        if trial.fails(row):
            raise Enough(trial.verdict())

    async with open_teacher(recipe.chat_teacher(), recipe.resolve("")) as model:
        items, teacher = examples.stream(), recipe.chat_teacher()
        await ask_all(
            items, missing, lambda example: example.id, model, journal, teacher, budget, done,
            trial.most_open, trial.most_again,
        )  # fmt: skip

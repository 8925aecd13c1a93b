"""The asking pass: every example past the pump, every reply into the journal."""

from __future__ import annotations

import asyncio

from recipes.chat import ChatRequest
from recipes.rows import Example
from recipes.schema import Recipe
from synth.budget import Budget
from synth.examples import Examples
from synth.journal import Journal
from synth.progress import Progress
from synth.pump import ask_all
from synth.tasks.asking import Lookup, Task
from synth.teacher import open_teacher


def ask_teacher(recipe: Recipe, task: Task, examples: Examples, journal: Journal) -> None:
    """Send the requests that the journal does not answer yet, and show how it goes. Raises what `ask_all` raises."""
    price = recipe.teacher.price
    spend = None if price is None else lambda: price.cost(journal.usage)
    with Progress("rows", examples.counts()["drawn"], spend) as progress:
        asyncio.run(_ask(recipe, task, examples, journal, progress))


async def _ask(recipe: Recipe, task: Task, examples: Examples, journal: Journal, progress: Progress) -> None:
    price, cap = recipe.teacher.price, recipe.synthesis.budget_usd
    budget = None if price is None or cap is None else Budget(price, cap, journal.usage)
    reason: str | None = None

    def missing(example: Example, lookup: Lookup) -> list[ChatRequest]:
        nonlocal reason
        requests, reason = task.advance(example, lookup)
        return requests

    def done(_: Example) -> None:
        progress.row(reason)  # the pump says so right after `missing` was empty for the same example

    async with open_teacher(recipe.teacher, recipe.resolve("")) as model:
        items = examples.stream()
        await ask_all(items, missing, lambda example: example.id, model, journal, recipe.teacher, budget, done)

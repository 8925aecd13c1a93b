"""Asking a stub teacher for rows: what the tests of the engine share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from recipes.chat import ChatRequest, Message, Reply, Sampling
from recipes.schema import Teacher
from synth.budget import Budget
from synth.journal import Journal
from synth.pump import Lookup, ask_all
from synth.teacher import open_teacher


def teacher(url: str, **fields: Any) -> Teacher:
    """A teacher at `url`, with little patience."""
    return Teacher(
        **{"provider": "endpoint", "model": "m", "base_url": url, "timeout": 5.0, "concurrency": 16, **fields}
    )


def question(where: Teacher, row: object, max_tokens: int = 50, sample: int = 0) -> ChatRequest:
    """The request for a row."""
    messages = (Message("system", "Judge the text."), Message("user", f"text: {row}"))
    return ChatRequest(where.address(), where.model, messages, Sampling(0.5, max_tokens), None, sample)


def ask(
    where: Teacher,
    path: Path,
    rows: Iterable[object],
    *,
    budget: Callable[[Journal], Budget] | None = None,
    missing: Callable[[object, Lookup], list[ChatRequest]] | None = None,
) -> list[object]:
    """Ask for every row and return those that were done, in order. A cut-off reply is asked for once more."""

    def one_question(row: object, lookup: Lookup) -> list[ChatRequest]:
        for sample in range(3):
            found = lookup(request := question(where, row, sample=sample))
            if found is None:
                return [request]
            if not isinstance(found, Reply) or found.finish_reason != "length":
                return []
        return []

    done: list[object] = []

    async def run() -> None:
        with Journal.open(path) as journal:
            money = budget(journal) if budget is not None else None
            async with open_teacher(where, path.parent) as model:
                await ask_all(rows, missing or one_question, str, model, journal, where, money, done.append)

    asyncio.run(run())
    return done

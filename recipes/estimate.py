"""How many rows a recipe will ask about, and how many tokens a call takes, before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.chat import Message, Usage
from recipes.prompts import Prompt
from recipes.rows import Split
from recipes.schema import Recipe
from recipes.spent import Spent
from recipes.tables import count_table, read_table

BYTES_PER_TOKEN = 4
"""An estimate: English runs at 4 to 5 bytes of UTF-8 a token, other languages and emoji near 3."""
TOKENS_PER_MESSAGE = 4
"""What a chat template puts around each message, about."""
UNKNOWN_TEXT = "x" * 160
"""Stands for a text, or one field, of a data set that is not here yet: a tweet or two sentences."""
_UNKNOWN_REASON = 60
"""Tokens of a rationale where the prompt shows no example of one."""
_UNKNOWN_REASONING = 300
"""The same of a question, its reasoning and its response."""
SAMPLED = 500
"""Rows at the head of a file that an estimate is made on."""
_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class CallSize:
    """Tokens of one call: the part of the prompt that every call shares, all of the prompt, and the reply.

    measured: taken from the usage of an earlier run's replies, not estimated.
    """

    shared: float
    prompt: float
    completion: float
    measured: bool = False

    def usage(self, calls: int, cached: bool) -> Usage:
        """Tokens of so many calls; cached: the provider has the shared part in its cache from the second call on."""
        hits = max(calls - 1, 0) * self.shared if cached else 0
        return Usage(math.ceil(calls * self.prompt), math.floor(hits), math.ceil(calls * self.completion))


def count_asked(recipe: Recipe) -> dict[Split, int] | None:
    """Rows per split, duplicates and unfit texts included; None for a Hub data set whose size is not named.

    Raises SourceError where a file cannot be read.
    """
    source = recipe.source
    if source.path is None:
        if source.train is None or source.test is None:
            return None
        return _divided(source.train, source.validation, source.test)
    pool = recipe.resolve(source.path)
    if source.test_path is not None:
        test = 0 if source.test == 0 else count_table(recipe.resolve(source.test_path), source.test)
        return _divided(count_table(pool, source.train), source.validation, test)
    both_known = source.train is not None and source.test is not None
    rows = count_table(pool, (source.train or 0) + (source.test or 0) if both_known else None)
    test = int(rows / 5 + 0.5) if source.test is None else min(source.test, rows)
    return _divided(min(rows - test, source.train or rows), source.validation, test)


def _divided(both: int, share: float, test: int) -> dict[Split, int]:
    validation = int(both * share + 0.5)
    return {"train": both - validation, "validation": validation, "test": test}


def call_size(prompt: Prompt, rows: Sequence[Mapping[str, str]], spent: Spent, max_tokens: int) -> CallSize:
    """Tokens of one call: the mean of the replies in `spent` if there are enough, else estimated on `rows`."""
    shared = _tokens(prompt.static)
    if spent.replies >= _ENOUGH and spent.usage.prompt:
        mean = spent.usage.prompt / spent.replies
        return CallSize(min(shared, mean), mean, spent.usage.completion / spent.replies, measured=True)
    rows = rows or [dict.fromkeys(prompt.placeholders, UNKNOWN_TEXT)]
    whole = sum(_tokens(prompt.render(values)) for values in rows) / len(rows)
    return CallSize(shared, whole, min(_reply_tokens(prompt), max_tokens))


def mean_size(sizes: Sequence[CallSize]) -> CallSize:
    """A call of a task with several prompts, which are asked about every row alike."""
    shared, prompt, completion = (
        sum(each) / len(sizes)
        for each in zip(*((size.shared, size.prompt, size.completion) for size in sizes), strict=True)
    )
    return CallSize(shared, prompt, completion, sizes[0].measured)


def first_rows(recipe: Recipe) -> Iterator[dict[str, str]]:
    """The fields of the rows at the head of the source; a row that lacks one will not be asked about."""
    source = recipe.source
    columns = {"text": source.text} if source.text is not None else dict(source.fields or {})
    if source.path is not None and columns:
        path: Path = recipe.resolve(source.path)
        for _, record in islice(read_table(path), SAMPLED):
            values = {name: _text(record.get(column)) for name, column in columns.items()}
            if source.text is not None or all(values.values()):
                yield values


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _tokens(messages: tuple[Message, ...]) -> float:
    size = sum(len(message.content.encode(errors="replace")) for message in messages)
    return size / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages)


def _reply_tokens(prompt: Prompt) -> float:
    """Mean of the few-shot replies; without them, a label and the reason that the prompt asks for."""
    replies = [message for message in prompt.static if message.role == "assistant"]
    if replies:
        return _tokens(tuple(replies)) / len(replies)
    if prompt.answer.kind == "reasoning":
        return _UNKNOWN_REASONING
    return 10 + (_UNKNOWN_REASON if prompt.answer.rationale is not None else 0)

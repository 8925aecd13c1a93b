"""Rows that need no teacher: what a student is to answer stands in the source.

description    title -> description of a product
chat           a conversation, or a question and its response, of the user's own
understanding  a review with an analysis, a rewrite or both, that a teacher wrote before
atsa, acsa     a sentence and its gold tuples
sentiment      a text and its gold label
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from recipes.readings import read_written
from recipes.rows import AspectRow, Example, LabelRow, Reject, ResponseRow, UnderstandingRow
from recipes.schema import REVIEWS
from synth.content import GOLD
from synth.gold import decode_gold
from synth.tasks.understanding import PARTS, understood

_TOLD = 5
"""Ids of rows that are told at most."""
Given = ResponseRow | UnderstandingRow | AspectRow | LabelRow | Reject


class GivenRows:
    """The rows of one source; `facts` says what of it was left out or mended in rows that were kept."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.tuples: Counter[str] = Counter()
        self.moved: list[str] = []
        self.lost: Counter[str] = Counter()

    def row(self, example: Example) -> Given:
        """The row of an example, or why it is none."""
        if self.task in ("atsa", "acsa"):
            return self._aspects(example)
        if self.task == "understanding":
            return self._understood(example)
        return sentiment_row(example) if self.task in REVIEWS else response_row(self.task, example)

    def facts(self) -> dict[str, Any]:
        """tuples: of atsa and acsa, `tuples`, `elsewhere` (terms found where the source does not put them),
        `without_term` and `without_tuples` (texts). moved: the first ids of texts with terms found elsewhere. lost: of
        understanding, why a kept row lacks a part."""
        if self.task == "understanding":
            return {"lost": dict(self.lost.most_common())}
        return {"tuples": dict(self.tuples), "moved": self.moved} if self.task in ("atsa", "acsa") else {}

    def _aspects(self, example: Example) -> AspectRow:
        gold = decode_gold(example.fields[GOLD])
        self.tuples["tuples"] += len(gold.aspects)
        self.tuples["elsewhere"] += gold.elsewhere
        if gold.elsewhere and len(self.moved) < _TOLD:
            self.moved.append(example.id)
        self.tuples["without_term"] += gold.without_term
        self.tuples["without_tuples"] += not gold.aspects
        return AspectRow.model_construct(
            id=example.id,
            text=example.fields["text"],
            split=example.split,
            group=example.group,
            slices={**gold.slices, **example.slices},
            aspects=tuple(gold.aspects),
        )

    def _understood(self, example: Example) -> UnderstandingRow | Reject:
        text = example.fields["text"]
        found = {part: read_written(part, example.fields[part], text) for part in PARTS if part in example.fields}
        readings = {part: reading for part, reading in found.items() if reading.outcome in ("clean", "repaired")}
        problems = {part: reading for part, reading in found.items() if part not in readings}
        if readings:
            self.lost.update(f"{part} {reading.junk or reading.outcome}" for part, reading in problems.items())
            return understood(example, readings)
        first = next(iter(problems.values()))
        detail = "; ".join(f"{part}: {reading.problem}" for part, reading in problems.items())
        return _source_reject(example, first.junk or first.outcome, detail)


def response_row(task: str, example: Example) -> ResponseRow:
    """The row of an example of `task`, description or chat."""
    fields = example.fields
    if task == "description":
        question, reasoning, response = fields["title"], None, fields["description"]
    else:
        question, reasoning, response = fields["question"], fields.get("reasoning"), fields["response"]
        fields = {name: value for name, value in fields.items() if name not in ("question", "reasoning", "response")}
    return ResponseRow.model_construct(
        id=example.id,
        split=example.split,
        group=example.group,
        history=example.history,
        question=question,
        reasoning=reasoning,
        response=response,
        fields=fields,
        outcome="clean",
    )


def sentiment_row(example: Example) -> LabelRow | Reject:
    """A text and its gold label; no teacher has labelled it."""
    if example.gold is None:
        return _source_reject(example, "no_gold", "the label column is empty: there is nothing to score against")
    return LabelRow.of(example, label=None, soft=(), votes=())


def _source_reject(example: Example, reason: str, detail: str) -> Reject:
    return Reject.model_construct(
        id=example.id,
        text=example.fields["text"],
        gold=example.gold,
        slices=example.slices,
        split=example.split,
        stage="source",
        reason=reason,
        detail=detail,
        reply=None,
    )

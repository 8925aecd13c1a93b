"""Questions and what everybody answered, side by side, for people to read."""

from __future__ import annotations

import random
from collections.abc import Sequence

from eval.answer_scores import ScoredModel
from eval.questions import Questions
from eval.responses import Answer, ResponseExample
from synth.grounding import ungrounded

MOST = 12
"""Examples in a report."""


def examples(questions: Questions, models: Sequence[ScoredModel], seed: int) -> tuple[ResponseExample, ...]:
    """A seeded draw: nobody chose them, neither for good nor for bad."""
    places = list(range(len(questions.rows)))
    random.Random(seed).shuffle(places)
    return tuple(_example(questions, models, place) for place in places[:MOST])


def _example(questions: Questions, models: Sequence[ScoredModel], place: int) -> ResponseExample:
    row = questions.rows[place]
    return ResponseExample(
        id=row.id,
        question=row.question,
        history=tuple(f"{turn.role}: {turn.content}" for turn in row.history),
        answers=tuple(_answer(questions, model, place) for model in models),
    )


def _answer(questions: Questions, model: ScoredModel, place: int) -> Answer:
    line, sources = model.main.lines[place], questions.sources(place)
    return Answer(
        model=model.name,
        role=model.main.role,
        reasoning=line.reasoning,
        response=line.response,
        ungrounded=tuple(ungrounded(line.response, sources)) if sources else (),
        cut=line.stopped is False,
    )

"""Why a row of a generative task is not kept: the recipe's section `filters`, one reason and a sentence each.

The question, the reasoning and the response of task: reasoning are the teacher's, and all of them are judged; of a chat
or a description it is the response (and its reasoning), since a person wrote the question.
"""

from __future__ import annotations

import re

import orjson

from recipes.rows import Reject, ResponseRow
from recipes.schema import Filters, Recipe
from synth.content import Content
from synth.echoes import Echoes
from synth.grounding import ungrounded
from synth.languages import Language
from synth.wording import meta_talk, self_talk

Problem = tuple[str, str]


class Quality:
    """The filters of one build; `reject` is asked for every row, in order.

    Raises SourceError where filters.language is not known.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.task = recipe.task
        self.filters = recipe.filters
        self.language = None if recipe.filters.language is None else Language(recipe.filters.language)
        self.echoes = self._no_echoes()

    def close(self) -> None:
        if self.echoes is not None:
            self.echoes.close()

    def forget(self) -> None:
        """Forget the rows that were kept so far."""
        self.close()
        self.echoes = self._no_echoes()

    def _no_echoes(self) -> Echoes | None:
        threshold = self.filters.near_duplicate
        return None if threshold is None else Echoes(threshold)

    def reject(self, row: ResponseRow) -> Reject | None:
        """The reject that the row becomes, or None where it is kept (and remembered)."""
        problem = row_problem(row, self.task, self.filters) or self._foreign(row) or self._echo(row)
        if problem is None:
            return None
        reason, detail = problem
        written = {"question": row.question, "reasoning": row.reasoning, "response": row.response}
        return Reject.model_construct(
            id=row.id,
            text=Content(row.fields).text or row.question,
            split=row.split,
            stage="filter",
            reason=reason,
            detail=detail,
            reply=orjson.dumps(written).decode(),
        )

    def _foreign(self, row: ResponseRow) -> Problem | None:
        other = None if self.language is None else self.language.other(row.response)
        return None if other is None else ("language", f"the response is in {other}, not in {self.filters.language}")

    def _echo(self, row: ResponseRow) -> Problem | None:
        """A chat is an echo only where its question is near too: one answer may serve many questions there."""
        if self.echoes is None:
            return None
        asked = Content({"question": row.question, "response": row.response}, row.history).text
        texts = (asked, row.response) if self.task == "chat" else (row.response,)
        near = self.echoes.near(*texts)
        if near is not None:
            what = "question and the response are near those" if self.task == "chat" else "response is near that"
            return "near_duplicate", f"the {what} of {near}"
        self.echoes.keep(row.id, *texts)
        return None


def row_problem(row: ResponseRow, task: str, filters: Filters) -> Problem | None:
    """(reason, detail) of what is wrong with one row by itself."""
    return (
        _length(row, task, filters)
        or _copied(row)
        or (_talk(row, task) if filters.meta_talk else None)
        or (_invented(row) if filters.grounded and task == "reasoning" else None)
    )


def _length(row: ResponseRow, task: str, filters: Filters) -> Problem | None:
    size, shortest = len(row.response), filters.shortest(task)
    if size < shortest:
        return "short_response", f"{size} of {shortest} characters"
    if size > filters.max_response_chars:
        return "long_response", f"{size} characters; filters.max_response_chars is {filters.max_response_chars}"
    thought = len((row.reasoning or "").strip())
    if task == "reasoning" and not thought:
        return "empty_reasoning", "there is no reasoning"
    if task == "reasoning" and thought < filters.min_reasoning_chars:
        return "short_reasoning", f"{thought} of {filters.min_reasoning_chars} characters"
    return None


def _copied(row: ResponseRow) -> Problem | None:
    """Reasoning that is a piece of the response or of a field has reasoned nothing."""
    thought = _run(row.reasoning or "")
    if not thought:
        return None
    for name, text in (("response", row.response), *row.fields.items()):
        if thought in _run(text):
            return "copied_reasoning", f"the reasoning stands in the {name}"
    return None


def _talk(row: ResponseRow, task: str) -> Problem | None:
    """A chat may well speak of a context, and the question of a description may name one; a teacher's may not."""
    texts = {"question": row.question} if task == "reasoning" else {}
    shown = row.question if task == "description" else ""
    for name, text in {**texts, "reasoning": row.reasoning or "", "response": row.response}.items():
        found = self_talk(text) if task == "chat" else meta_talk(text, shown)
        if found is not None:
            return "meta_talk", f"the {name} says {found!r}"
    return None


def _invented(row: ResponseRow) -> Problem | None:
    pieces = ungrounded(row.response, [*row.fields.values(), row.question])
    return ("ungrounded", f"no field has {', '.join(map(repr, pieces[:5]))}") if pieces else None


def _run(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()

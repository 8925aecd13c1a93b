"""Reasoning rows: a question that the text of an example answers, the reasoning that leads there, and the response.

One conversation an example (`asking.py`): three texts have no majority.
"""

from __future__ import annotations

from typing import Any

from recipes.answers_reasoning import Reasoned, parse_reasoned
from recipes.chat import ChatRequest, Reply
from recipes.prompts import Prompt
from recipes.rows import Example, Reject, ResponseRow
from recipes.schema import Recipe
from synth.tasks.asking import Asking, Lookup, Vote, json_schema, teacher_reject, why_unusable


class ReasoningTask:
    """The questions, reasonings and responses that one recipe's teacher writes."""

    def __init__(self, recipe: Recipe, prompt: Prompt) -> None:
        self.prompt = prompt
        keys = ", ".join(f'"{key}"' for key in prompt.answer.key_names())
        wanted = f"one JSON object with {keys}, each a text that is not empty, and nothing around it"
        self.asking = Asking(recipe, prompt, self._read, wanted, response_format(recipe, prompt))

    def advance(self, example: Example, lookup: Lookup) -> tuple[list[ChatRequest], ResponseRow | Reject | None]:
        """The request to send now; where there is none, what the reply makes of the example."""
        vote = self._vote(example, lookup)
        return ([], self._settled(example, vote)) if vote.ask is None else ([vote.ask], None)

    def settle(self, example: Example, lookup: Lookup) -> ResponseRow | Reject:
        """The row that the reply makes, or why it makes none."""
        return self._settled(example, self._vote(example, lookup))

    def _settled(self, example: Example, vote: Vote[Reasoned]) -> ResponseRow | Reject:
        answer = _usable(vote)
        if answer is None:
            return teacher_reject(example, *_reason(vote, self.prompt), vote.reply)
        return ResponseRow.model_construct(
            id=example.id,
            split=example.split,
            group=example.group,
            question=answer.question,
            reasoning=answer.reasoning,
            response=answer.response,
            fields=example.fields,
            outcome=answer.outcome,
        )

    def _vote(self, example: Example, lookup: Lookup) -> Vote[Reasoned]:
        return self.asking.vote(self.prompt.render(example.fields), 0, lookup)

    def _read(self, reply: Reply) -> Reasoned:
        return parse_reasoned(reply, self.prompt.answer)


def _usable(vote: Vote[Reasoned]) -> Reasoned | None:
    answer = vote.answer if vote.failure is None else None
    return answer if answer is not None and answer.outcome in ("clean", "repaired") else None


def _reason(vote: Vote[Reasoned], prompt: Prompt) -> tuple[str, str]:
    form = prompt.answer
    if vote.failure is None and vote.answer is not None and vote.answer.empty is not None:
        names = {form.question: "question", form.reasoning: "reasoning", form.response: "response"}
        return f"empty_{names[vote.answer.empty]}", vote.answer.problem
    return why_unusable(vote)


def response_format(recipe: Recipe, prompt: Prompt) -> dict[str, Any] | None:
    """OpenAI's response_format for the recipe: JSON mode unless synthesis.output says otherwise."""
    output = recipe.synthesis.output or "json_object"
    if output == "text":
        return None
    if output == "json_object":
        return {"type": "json_object"}
    return json_schema({key: {"type": "string"} for key in prompt.answer.key_names()})

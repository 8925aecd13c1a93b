"""Label rows: what to ask the teacher about an example, and what its replies make of it.

Both are pure over the journal: `advance` says which requests have no reply yet, `settle` turns the replies into a row
or a reject. Each vote is a conversation of its own (`asking.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from recipes.answers import Answer, parse_answer
from recipes.chat import ChatRequest, Reply
from recipes.logprobs import label_probabilities
from recipes.prompts import Prompt
from recipes.rows import Example, LabelRow, Reject
from recipes.schema import Recipe
from recipes.stages import keeps_ties
from synth.tasks.asking import Asking, Lookup, Vote, json_schema, teacher_reject, why_unusable

LabelVote = Vote[Answer]


class LabelTask:
    """The labelling of one recipe's examples by its teacher."""

    def __init__(self, recipe: Recipe, prompt: Prompt) -> None:
        self.labels = recipe.labels
        self.synthesis = recipe.synthesis
        self.prompt = prompt
        self.keep_ties = keeps_ties(recipe)
        self.response_format = response_format(recipe, prompt)
        self.asking = Asking(recipe, prompt, self._read, self._wanted(), self.response_format)

    def advance(self, example: Example, lookup: Lookup) -> tuple[list[ChatRequest], LabelRow | Reject | None]:
        """The requests to send now; where there are none, what the replies make of the example."""
        votes = self.votes(example, lookup)
        requests = [vote.ask for vote in votes if vote.ask is not None]
        return requests, None if requests else self._settled(example, votes)

    def settle(self, example: Example, lookup: Lookup) -> LabelRow | Reject:
        """The row that the replies make, or why they make none."""
        return self._settled(example, self.votes(example, lookup))

    def _settled(self, example: Example, votes: Sequence[LabelVote]) -> LabelRow | Reject:
        winner, problem = self.decide(votes)
        if problem is None:
            return self._row(example, votes, winner)
        last = [vote.reply for vote in votes if vote.reply is not None]
        return teacher_reject(example, *problem, last[-1] if last else None)

    def votes(self, example: Example, lookup: Lookup) -> list[LabelVote]:
        """How far each vote has come."""
        messages = self.prompt.render(example.fields)
        return [self.asking.vote(messages, sample, lookup) for sample in range(self.synthesis.votes)]

    def decide(self, votes: Sequence[LabelVote]) -> tuple[str | None, tuple[str, str] | None]:
        """(label, None), (None, None) for a tie that is kept, or (None, (reason, detail)).

        The label needs more than half of ALL votes, the failed ones included. Without one usable vote the reason is
        that of most votes, the first of equals.
        """
        labels = Counter(map(_label, votes))
        unusable = labels.pop(None, 0)
        if not labels:
            return None, Counter(map(_reason, votes)).most_common(1)[0][0]
        winner, count = labels.most_common(1)[0]
        if 2 * count > len(votes):
            return winner, None
        if self.keep_ties:
            return None, None
        shares = ", ".join(f"{label} {count}" for label, count in labels.items())
        return None, ("no_majority", shares + (f", no answer {unusable}" if unusable else ""))

    def _read(self, reply: Reply) -> Answer:
        return parse_answer(reply, self.prompt.answer, self.labels)

    def _wanted(self) -> str:
        form = self.prompt.answer
        if form.kind != "json":
            return f"one of {', '.join(self.labels)} and nothing else"
        keys = ", ".join(f'"{key}"' for key in (form.rationale, form.label) if key is not None)
        return f"one JSON object with {keys} and nothing around it"

    def _row(self, example: Example, votes: Sequence[LabelVote], winner: str | None) -> LabelRow:
        counted = [vote.answer for vote in votes if vote.answer is not None and vote.answer.value is not None]
        first = next((answer for answer in counted if answer.value == winner), None)
        return LabelRow.of(
            example,
            label=winner,
            soft=self._soft(votes, [answer.value for answer in counted]),
            votes=tuple(map(_label, votes)),
            rationale=first.rationale if first is not None else None,
            outcome="repaired" if any(answer.outcome == "repaired" for answer in counted) else "clean",
        )

    def _soft(self, votes: Sequence[LabelVote], usable: Sequence[str | None]) -> tuple[float, ...]:
        """Probability per label: the mean of the votes' logprobs where asked for and given, else the votes' shares."""
        if self.asking.sampling.logprobs:
            replies = [vote.reply for vote in votes if _label(vote) is not None and vote.reply is not None]
            found = [label_probabilities(reply, self.prompt.answer, self.labels) for reply in replies]
            given = [probabilities for probabilities in found if probabilities is not None]
            if given:
                return tuple(sum(column) / len(given) for column in zip(*given, strict=True))
        return tuple(usable.count(label) / len(usable) for label in self.labels)


def _label(vote: LabelVote) -> str | None:
    """What the vote is for, None where it gave no usable answer."""
    return vote.answer.value if vote.answer is not None else None


def _reason(vote: LabelVote) -> tuple[str, str]:
    if vote.failure is None and vote.answer is not None and vote.answer.unknown:
        return "unknown_label", vote.answer.problem
    return why_unusable(vote)


def response_format(recipe: Recipe, prompt: Prompt) -> dict[str, Any] | None:
    """OpenAI's response_format for the recipe: JSON mode for JSON prompts unless synthesis.output says otherwise."""
    form = prompt.answer
    output = recipe.synthesis.output or ("json_object" if form.kind == "json" else "text")
    if output == "text":
        return None
    if output == "json_object":
        return {"type": "json_object"}
    properties: dict[str, Any] = {}
    if form.rationale is not None:
        properties[form.rationale] = {"type": "string"}  # before the label: reasons first
    properties[form.label] = {"type": "string", "enum": list(recipe.labels)}
    return json_schema(properties)

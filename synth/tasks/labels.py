"""Label rows: what to ask the teacher about an example, and what its replies make of it.

Both functions are pure over the journal: `missing` says which requests have no reply yet, `settle` turns the replies
into a row or a reject. Each vote is a short conversation: the question and, while the reply cannot be read, the same
question again with the bad reply and what was wrong with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.answers import Answer, parse_answer
from recipes.chat import ChatRequest, Message, Reply, Sampling
from recipes.logprobs import label_probabilities
from recipes.prompts import Prompt
from recipes.rows import Example, LabelRow, Reject, storable
from recipes.schema import Recipe
from recipes.stages import keeps_ties
from synth.journal import Failure

Lookup = Callable[[ChatRequest], "Reply | Failure | None"]

_LONGEST_ECHO = 4_000
"""Characters of a bad reply that are shown to the teacher again."""
_LONGEST_REPLY = 20_000
"""Characters of a reply that a reject keeps; the journal has it whole."""


@dataclass(slots=True)
class Vote:
    """How far one vote has come: what to ask next, if anything, and the last thing that came back."""

    ask: ChatRequest | None = None
    reply: Reply | None = None
    answer: Answer | None = None
    failure: Failure | None = None

    @property
    def label(self) -> str | None:
        """What the vote is for, None where it gave no usable answer."""
        return self.answer.value if self.answer is not None else None


class LabelTask:
    """The labelling of one recipe's examples by its teacher."""

    def __init__(self, recipe: Recipe, prompt: Prompt) -> None:
        teacher = recipe.teacher
        self.labels = recipe.labels
        self.synthesis = recipe.synthesis
        self.prompt = prompt
        self.opening = len(prompt.static) + 1  # messages of a vote's first request
        self.keep_ties = keeps_ties(recipe)
        self.model = teacher.model
        self.endpoint = teacher.address()
        self.sampling = Sampling(
            temperature=teacher.temperature,
            max_tokens=teacher.max_tokens,
            top_p=teacher.top_p,
            seed=teacher.seed,
            logprobs=recipe.synthesis.soft_labels == "logprobs",
        )
        self.response_format = response_format(recipe, prompt)

    def missing(self, example: Example, lookup: Lookup) -> list[ChatRequest]:
        """The requests to send now; none when every vote is settled."""
        return [vote.ask for vote in self.votes(example, lookup) if vote.ask is not None]

    def settle(self, example: Example, lookup: Lookup) -> LabelRow | Reject:
        """The row that the replies make, or why they make none."""
        votes = self.votes(example, lookup)
        winner, problem = self.decide(votes)
        if problem is None:
            return self._row(example, votes, winner)
        last = [vote.reply for vote in votes if vote.reply is not None]
        return _reject(example, *problem, last[-1] if last else None)

    def votes(self, example: Example, lookup: Lookup) -> list[Vote]:
        """How far each vote has come."""
        messages = self.prompt.render(example.fields)
        return [self._vote(messages, sample, lookup) for sample in range(self.synthesis.votes)]

    def decide(self, votes: Sequence[Vote]) -> tuple[str | None, tuple[str, str] | None]:
        """(label, None), (None, None) for a tie that is kept, or (None, (reason, detail)).

        The label needs more than half of ALL votes, the failed ones included. Without one usable vote the reason is
        that of most votes, the first of equals.
        """
        labels = Counter(vote.label for vote in votes)
        unusable = labels.pop(None, 0)
        if not labels:
            return None, Counter(self._reason(vote) for vote in votes).most_common(1)[0][0]
        winner, count = labels.most_common(1)[0]
        if 2 * count > len(votes):
            return winner, None
        if self.keep_ties:
            return None, None
        shares = ", ".join(f"{label} {count}" for label, count in labels.items())
        return None, ("no_majority", shares + (f", no answer {unusable}" if unusable else ""))

    def request(self, messages: tuple[Message, ...], sample: int) -> ChatRequest:
        """The request of a vote for these messages."""
        return ChatRequest(self.endpoint, self.model, messages, self.sampling, self.response_format, sample)

    def _vote(self, messages: tuple[Message, ...], sample: int, lookup: Lookup) -> Vote:
        vote = Vote()
        for tries_left in range(self.synthesis.reask, -1, -1):
            request = self.request(messages, sample)
            found = lookup(request)
            if found is None:
                vote.ask = request
                return vote
            if isinstance(found, Failure):
                vote.failure = found
                return vote
            vote.reply = found
            vote.answer = parse_answer(found, self.prompt.answer, self.labels)
            if not tries_left or vote.answer.outcome not in ("malformed", "truncated"):
                return vote
            messages += self._asked_again(messages[self.opening - 1], found, vote.answer)
        return vote

    def _asked_again(self, question: Message, reply: Reply, answer: Answer) -> tuple[Message, Message]:
        """The bad reply and what was wrong with it; the question stands again at the end, where models look first."""
        form = self.prompt.answer
        if form.kind == "json":
            keys = ", ".join(f'"{key}"' for key in (form.rationale, form.label) if key is not None)
            wanted = f"one JSON object with {keys} and nothing around it"
        else:
            wanted = f"one of {', '.join(self.labels)} and nothing else"
        brief = " Be brief." if answer.outcome == "truncated" else ""
        sentence = (
            f"That answer cannot be used: {answer.problem}. Answer again with {wanted}.{brief}\n\n{question.content}"
        )
        return Message("assistant", storable(reply.text[:_LONGEST_ECHO]) or "(empty)"), Message("user", sentence)

    def _row(self, example: Example, votes: Sequence[Vote], winner: str | None) -> LabelRow:
        counted = [vote.answer for vote in votes if vote.answer is not None and vote.answer.value is not None]
        first = next((answer for answer in counted if answer.value == winner), None)
        return LabelRow.model_construct(
            id=example.id,
            text=example.fields["text"],
            gold=example.gold,
            split=example.split,
            group=example.group,
            label=winner,
            soft=self._soft(votes, [answer.value for answer in counted]),
            rationale=first.rationale if first is not None else None,
            votes=tuple(vote.label for vote in votes),
            outcome="repaired" if any(answer.outcome == "repaired" for answer in counted) else "clean",
        )

    def _soft(self, votes: Sequence[Vote], usable: Sequence[str | None]) -> tuple[float, ...]:
        """Probability per label: the mean of the votes' logprobs where asked for and given, else the votes' shares."""
        if self.sampling.logprobs:
            replies = [vote.reply for vote in votes if vote.label is not None and vote.reply is not None]
            found = [label_probabilities(reply, self.prompt.answer, self.labels) for reply in replies]
            given = [probabilities for probabilities in found if probabilities is not None]
            if given:
                return tuple(sum(column) / len(given) for column in zip(*given, strict=True))
        return tuple(usable.count(label) / len(usable) for label in self.labels)

    def _reason(self, vote: Vote) -> tuple[str, str]:
        if vote.failure is not None:
            return "teacher_failed", f"{vote.failure.kind}: {vote.failure.message}"
        if vote.answer is None:
            return "not_recorded", "the journal has no reply to this request"
        if vote.answer.unknown is not None:
            return "unknown_label", vote.answer.problem
        return vote.answer.outcome, vote.answer.problem


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
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _reject(example: Example, reason: str, detail: str, reply: Reply | None) -> Reject:
    return Reject.model_construct(
        id=example.id,
        text=example.fields["text"],
        gold=example.gold,
        split=example.split,
        stage="teacher",
        reason=reason,
        detail=detail,
        reply=storable(reply.text[:_LONGEST_REPLY]) if reply is not None else None,
    )

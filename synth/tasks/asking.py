"""What the tasks that ask a teacher share: one conversation about one example, and how far it has come.

A conversation is the question and, while the reply cannot be read, the same question again with the bad reply and what
was wrong with it. Pure over the journal: it says which request has no reply yet, and never sends one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from recipes.chat import ChatRequest, Message, Reply, Sampling
from recipes.prompts import Prompt
from recipes.rows import AspectRow, Example, LabelRow, Outcome, Reject, ResponseRow, UnderstandingRow, storable
from recipes.schema import Recipe
from synth.content import Content
from synth.journal import Failure
from synth.tasks.cut import cut_off

Lookup = Callable[[ChatRequest], "Reply | Failure | None"]
Settled = LabelRow | ResponseRow | UnderstandingRow | AspectRow | Reject
"""What becomes of an example."""

_AGAIN = "That answer cannot be used: "
_LONGEST_ECHO = 4_000
"""Characters of a bad reply that are shown to the teacher again."""
_LONGEST_REPLY = 20_000
"""Characters of a reply that a reject keeps; the journal has it whole."""


class Task(Protocol):
    """What a teacher is asked about each example, and what its replies make of it."""

    def advance(self, example: Example, lookup: Lookup) -> tuple[list[ChatRequest], Settled | None]:
        """The requests to send now; where there are none, what the replies make of the example."""
        ...

    def settle(self, example: Example, lookup: Lookup) -> Settled:
        """The row that the replies make, or why they make none; a missing reply is such a reason."""
        ...


class Readable(Protocol):
    """A reply as a task reads it."""

    @property
    def outcome(self) -> Outcome: ...

    @property
    def problem(self) -> str:
        """What was wrong, in words that the teacher can be shown."""
        ...


Read = TypeVar("Read", bound=Readable)


@dataclass(slots=True)
class Vote(Generic[Read]):
    """How far one conversation has come: what to ask next, if anything, and the last thing that came back.

    cut: how the last reply was cut off, where it cannot be read.
    """

    ask: ChatRequest | None = None
    reply: Reply | None = None
    answer: Read | None = None
    cut: str | None = None
    failure: Failure | None = None


class Asking(Generic[Read]):
    """How one recipe's teacher is asked. read: reply -> answer. wanted: what an answer must be, to ask again with."""

    def __init__(
        self,
        recipe: Recipe,
        prompt: Prompt,
        read: Callable[[Reply], Read],
        wanted: str,
        response_format: Mapping[str, Any] | None,
    ) -> None:
        teacher = recipe.chat_teacher()
        self.prompt = prompt
        self.read = read
        self.wanted = wanted
        self.question = len(prompt.static)
        self.reask = recipe.synthesis.reask
        self.model = teacher.model
        self.endpoint = teacher.address()
        self.sampling = Sampling(
            temperature=teacher.temperature,
            max_tokens=teacher.max_tokens,
            top_p=teacher.top_p,
            seed=teacher.seed,
            logprobs=recipe.synthesis.soft_labels == "logprobs",
        )
        self.response_format = response_format

    def request(self, messages: tuple[Message, ...], sample: int) -> ChatRequest:
        """The request of one draw for these messages."""
        return ChatRequest(self.endpoint, self.model, messages, self.sampling, self.response_format, sample)

    def vote(
        self,
        messages: tuple[Message, ...],
        sample: int,
        lookup: Lookup,
        read: Callable[[Reply], Read] | None = None,
    ) -> Vote[Read]:
        """How far the conversation that begins with `messages` has come in one draw.

        read: how its replies are read, where that depends on what it is about.
        """
        read = read or self.read
        vote: Vote[Read] = Vote()
        for tries_left in range(self.reask, -1, -1):
            request = self.request(messages, sample)
            found = lookup(request)
            if found is None:
                vote.ask = request
                return vote
            if isinstance(found, Failure):
                vote.failure = found
                return vote
            vote.reply = found
            vote.answer = read(found)
            outcome, in_json = vote.answer.outcome, self.prompt.answer.kind != "word"
            vote.cut = cut_off(found, outcome, self.sampling.max_tokens, in_json)
            if outcome not in ("malformed", "truncated"):
                return vote
            if tries_left:
                messages += self._asked_again(messages[self.question], found, vote.answer)
        return vote

    def _asked_again(self, question: Message, reply: Reply, answer: Read) -> tuple[Message, Message]:
        """The bad reply and what was wrong with it; the question stands again at the end, where models look first."""
        brief = " Be brief." if answer.outcome == "truncated" else ""
        sentence = f"{_AGAIN}{answer.problem}. Answer again with {self.wanted}.{brief}\n\n{question.content}"
        return Message("assistant", storable(reply.text[:_LONGEST_ECHO]) or "(empty)"), Message("user", sentence)


def asks_again(request: ChatRequest) -> bool:
    """Whether a request shows the teacher an answer of its own that could not be used."""
    return len(request.messages) > 2 and request.messages[-1].content.startswith(_AGAIN)


def why_unusable(vote: Vote[Read]) -> tuple[str, str]:
    """The reason of a reject, and the detail."""
    if vote.failure is not None:
        return "teacher_failed", f"{vote.failure.kind}: {vote.failure.message}"
    if vote.answer is None:
        return "not_recorded", "the journal has no reply to this request"
    if vote.cut is not None:
        return "truncated", vote.cut
    if vote.reply is not None and vote.answer.outcome == "malformed" and not vote.reply.text.strip():
        return "empty", "the reply is empty"
    return vote.answer.outcome, vote.answer.problem


def teacher_reject(example: Example, reason: str, detail: str, reply: Reply | None) -> Reject:
    """An example of which the teacher made no row."""
    return Reject.model_construct(
        id=example.id,
        text=Content(example.fields, example.history).text,
        gold=example.gold,
        slices=example.slices,
        split=example.split,
        stage="teacher",
        reason=reason,
        detail=detail,
        reply=storable(reply.text[:_LONGEST_REPLY]) if reply is not None else None,
    )


def json_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's response_format for an object that has exactly these properties, in this order."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}

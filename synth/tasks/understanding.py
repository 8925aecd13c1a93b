"""Understanding rows: a teacher reads each review twice, for an analysis and for a rewrite (arXiv 2412.18552).

Two conversations an example (`asking.py`), each with a prompt of its own. A row is kept where one of them is usable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from recipes.chat import ChatRequest, Reply
from recipes.junk import quotable
from recipes.prompts import Prompt
from recipes.readings import Reading, parse_analysis, parse_rewrite
from recipes.rows import GRADES, Example, Opinion, Reject, UnderstandingRow
from recipes.schema import Recipe
from synth.tasks.asking import Asking, Lookup, Vote, json_schema, teacher_reject, why_unusable

PARTS = ("analysis", "rewrite")
Parse = Callable[[Reply, str, frozenset[str]], Reading]
_PARSE: dict[str, Parse] = {"analysis": parse_analysis, "rewrite": parse_rewrite}
_WANTED = {
    "analysis": 'one JSON object with "opinions", a list of {"target", "aspect", "sentiment", "reasoning"}, and '
    "nothing around it",
    "rewrite": 'one JSON object with "rewrite", the review in your own words, and nothing around it',
}
_PROPERTIES: dict[str, dict[str, Any]] = {
    "analysis": {
        "opinions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "target": {"type": "string"},
                    "aspect": {"type": "string"},
                    "sentiment": {"type": "string", "enum": list(GRADES)},
                    "reasoning": {"type": "string"},
                },
                "required": ["target", "aspect", "sentiment", "reasoning"],
                "additionalProperties": False,
            },
        }
    },
    "rewrite": {"rewrite": {"type": "string"}},
}


class UnderstandingTask:
    """The analyses and rewrites that one recipe's teacher writes. prompts: of the analysis and of the rewrite."""

    def __init__(self, recipe: Recipe, prompts: list[Prompt]) -> None:
        self.prompts = dict(zip(PARTS, prompts, strict=True))
        self.shown = {part: _shown(prompt) for part, prompt in self.prompts.items()}
        self.askings = {
            part: Asking(recipe, prompt, self._unread, _WANTED[part], response_format(recipe, part))
            for part, prompt in self.prompts.items()
        }
        self.lost: dict[tuple[str, str], str] = {}
        """(example, part) -> why a kept row lacks it."""

    def advance(self, example: Example, lookup: Lookup) -> tuple[list[ChatRequest], UnderstandingRow | Reject | None]:
        """The requests to send now; where there are none, what the replies make of the example."""
        votes = self._votes(example, lookup)
        requests = [vote.ask for vote in votes.values() if vote.ask is not None]
        return requests, None if requests else self._settled(example, votes)

    def settle(self, example: Example, lookup: Lookup) -> UnderstandingRow | Reject:
        """The row that the replies make, or why they make none."""
        return self._settled(example, self._votes(example, lookup))

    def _votes(self, example: Example, lookup: Lookup) -> dict[str, Vote[Reading]]:
        return {part: self._vote(part, example, lookup) for part in PARTS}

    def _vote(self, part: str, example: Example, lookup: Lookup) -> Vote[Reading]:
        review, parse, shown = example.fields["text"], _PARSE[part], self.shown[part]
        messages = self.prompts[part].render(example.fields)
        return self.askings[part].vote(messages, 0, lookup, lambda reply: parse(reply, review, shown))

    def facts(self) -> dict[str, Any]:
        """Why rows that were kept lack a part: "analysis malformed" -> how many."""
        counts = Counter(f"{part} {why}" for (_, part), why in self.lost.items())
        return {"lost": dict(counts.most_common())}

    @staticmethod
    def _unread(reply: Reply) -> Reading:
        raise AssertionError("a reading is of a review: `vote` is told how to read")

    def _settled(self, example: Example, votes: dict[str, Vote[Reading]]) -> UnderstandingRow | Reject:
        readings = {part: reading for part, vote in votes.items() if (reading := usable(vote)) is not None}
        problems = {part: _why(vote) for part, vote in votes.items() if part not in readings}
        for part in readings:
            self.lost.pop((example.id, part), None)  # an earlier pass may have lacked it
        if readings:
            self.lost |= {(example.id, part): why for part, (why, _) in problems.items()}
            return understood(example, readings)
        reason = problems["analysis"][0]
        detail = "; ".join(f"{part}: {why} ({said})" for part, (why, said) in problems.items())
        replies = [vote.reply for vote in votes.values() if vote.reply is not None]
        return teacher_reject(example, reason, detail, replies[0] if replies else None)


def understood(example: Example, readings: dict[str, Reading]) -> UnderstandingRow:
    """The row of what could be read of an example."""
    analysis: tuple[Opinion, ...] | None = None
    if "analysis" in readings:
        analysis = readings["analysis"].opinions
    return UnderstandingRow.model_construct(
        id=example.id,
        text=example.fields["text"],
        split=example.split,
        group=example.group,
        slices=example.slices,
        analysis=analysis,
        rewrite=readings["rewrite"].rewrite if "rewrite" in readings else None,
        outcome="repaired" if any(reading.outcome == "repaired" for reading in readings.values()) else "clean",
    )


def usable(vote: Vote[Reading]) -> Reading | None:
    """What a conversation came to, where it can be used."""
    reading = vote.answer if vote.failure is None else None
    return reading if reading is not None and reading.outcome in ("clean", "repaired") else None


def _why(vote: Vote[Reading]) -> tuple[str, str]:
    reading = vote.answer
    if vote.failure is None and reading is not None and reading.junk is not None and vote.ask is None:
        return reading.junk, reading.problem
    return why_unusable(vote)


def _shown(prompt: Prompt) -> frozenset[str]:
    """What the prompt's examples answer, to know it again where it is copied."""
    texts: list[str] = []
    for message in prompt.static:
        if message.role == "assistant":
            reply = orjson.loads(message.content)  # the prompt's checks have read it
            texts += [told["reasoning"] for told in reply.get("opinions", ())]
            texts += [reply["rewrite"]] if "rewrite" in reply else []
    return quotable(texts)


def response_format(recipe: Recipe, part: str) -> dict[str, Any] | None:
    """OpenAI's response_format for the recipe: JSON mode unless synthesis.output says otherwise."""
    output = recipe.synthesis.output or "json_object"
    if output == "text":
        return None
    return {"type": "json_object"} if output == "json_object" else json_schema(_PROPERTIES[part])

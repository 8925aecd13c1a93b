"""The trial: asking stops early where next to nothing that the teacher writes can be kept.

Rows are looked at as their replies come in. None kept of 20, or one of 40: then no more is asked, since what is wrong
(the prompt, a setting, a filter) is most likely wrong with all of them. Two kept end the trial. A teacher of whose rows
a quarter can be kept is stopped by chance in one run of 300.
"""

from __future__ import annotations

import math
from collections import Counter

from recipes.rows import Reject
from synth.tasks.asking import Settled

TRIAL = "trial"
"""Stage of the manifest that a failed trial leaves: the same command with --yes, and nothing changed, goes on."""
PER_KEPT = 20
"""Rows to be looked at for each row that is kept."""
ENOUGH_KEPT = 2

_ADVICE = {
    "malformed": "compare what the prompt asks for with its section `answer`, or have the endpoint keep to it "
    "(synthesis.output)",
    "unknown_label": "name the labels in the prompt as the recipe writes them",
    "empty": "look at what the server sends (a model that only thinks, a chat template of another model), or raise "
    "teacher.max_tokens",
    "truncated": "do so, or ask for shorter answers in the prompt",
    "refused": "put the task in other words in the prompt, or name another teacher",
    "no_majority": "say in the prompt what tells the labels apart, or lower teacher.temperature",
    "short_rationale": "ask for longer reasons in the prompt, or lower synthesis.min_rationale_chars",
    "empty_reasoning": "ask for the reasoning in the prompt",
    "short_reasoning": "ask for longer reasoning in the prompt, or lower filters.min_reasoning_chars",
    "copied_reasoning": "ask in the prompt for reasoning that leads to the response and does not repeat it",
    "short_response": "ask for longer responses in the prompt, or lower filters.min_response_chars",
    "long_response": "ask for shorter responses in the prompt, or raise filters.max_response_chars",
    "meta_talk": "tell the teacher that its reader sees the question alone, or set filters.meta_talk to false",
    "ungrounded": "tell the teacher to take its facts from the text alone, or set filters.grounded to false",
    "language": "name the language in the prompt, or change filters.language",
    "near_duplicate": "let the prompt ask about each text by itself, or raise filters.near_duplicate",
}
_OTHER_ADVICE = "change the prompt"


class Trial:
    """Counts the first rows of a run. over: whether nothing more is looked at. held: it was already, by an earlier run.

    rejects: reason -> rows, with the first of each.
    """

    def __init__(self, total: int, held: bool = False, paid: bool = True) -> None:
        """`total`: rows of the run; where there are few, asking for all of them tells more. `paid`: a call may cost."""
        self.held = held
        self.paid = paid
        self.over = held or total < 2 * PER_KEPT
        self.kept = 0
        self.rejects: Counter[str] = Counter()
        self._first: dict[str, Reject] = {}

    @property
    def judged(self) -> int:
        """Rows looked at."""
        return self.kept + self.rejects.total()

    def most_open(self) -> float:
        """Requests that may be on their way: of a paid teacher not more than the rows it takes to tell."""
        return self.most_again() if self.paid else math.inf

    def most_again(self) -> float:
        """Rows that may be asked again about at a time: of any teacher not more than it takes to tell."""
        return math.inf if self.over else PER_KEPT * (self.kept + 1) - self.judged

    def fails(self, row: Settled) -> bool:
        """Take in the next row, filters and all; whether asking should stop now.

        An example to which no reply came says nothing of the replies: that is for the breaker.
        """
        if self.over:
            return False
        if not isinstance(row, Reject):
            self.kept += 1
            self.over = self.kept == ENOUGH_KEPT
        elif row.reply is not None:
            self.rejects[row.reason] += 1
            self._first.setdefault(row.reason, row)
        failed = not self.over and self.judged >= PER_KEPT * (self.kept + 1)
        self.over = self.over or failed
        return failed

    def verdict(self) -> str:
        """Why asking stopped, by the commonest reason, and what to change."""
        reason, count = self.rejects.most_common(1)[0]
        first = self._first[reason]
        kept = f"{self.kept or 'none'} of the first {self.judged} rows can be kept"
        return (
            f"asking stopped: {kept}, and {count} are rejected as {reason}, e.g. {first.id} ({first.detail[:200]}): "
            f"{_ADVICE.get(reason, _OTHER_ADVICE)}"
        )

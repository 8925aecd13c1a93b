"""What became of every row of a source, in counts that add up.

    read = not_drawn + unfit + asked          asked = kept + rejected

unfit: never asked about (empty, duplicate ...). rejected: asked about, and no row came of it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from recipes.chat import ChatRequest, Price, Reply, Usage
from recipes.counts import counted
from recipes.rows import SPLITS, AspectRow, LabelRow, Reject, ResponseRow, UnderstandingRow
from recipes.schema import Recipe
from synth.journal import Failure
from synth.tasks.asking import Lookup, asks_again


class Funnel:
    """Counts everything that is settled in one build. `watch` wraps the journal's lookup to count what was used."""

    def __init__(self, recipe: Recipe, source: dict[str, int], left_out: tuple[int, int] = (0, 0)) -> None:
        """`source` is what Examples.counts says, `left_out` what Examples.left_out does."""
        self.recipe = recipe
        self.left_out = left_out
        self.earlier_answers = 0
        self.reasons = Counter(source)
        self.read, self.drawn = self.reasons.pop("read"), self.reasons.pop("drawn")
        self.not_drawn = self.reasons.pop("not drawn")
        self.unfit = self.reasons.total()
        self.labels: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        self.rejected = 0
        self.outcomes: Counter[str] = Counter()
        self.parts: Counter[str] = Counter()  # of understanding rows: what they have
        self.right: Counter[str] = Counter()
        self.judged: Counter[str] = Counter()
        self.replies = 0
        self.again = 0
        self.without_logprobs = 0
        self.failures: Counter[str] = Counter()  # why rows got no reply
        self.unusable = 0  # rows rejected for what the teacher replied
        self.passing = 0  # failures that the next run asks for again
        self.prompt = self.cached = self.completion = 0

    def watch(self, lookup: Lookup) -> Lookup:
        """The same lookup, counting the replies that go into the rows."""

        def watched(request: ChatRequest) -> Reply | Failure | None:
            found = lookup(request)
            if isinstance(found, Reply):
                self.replies += 1
                self.without_logprobs += request.sampling.logprobs and not found.logprobs
                self.again += asks_again(request)
                self.prompt += found.usage.prompt
                self.cached += found.usage.cached
                self.completion += found.usage.completion
            elif found is not None and not found.final:
                self.passing += 1
            return found

        return watched

    def keep(self, row: LabelRow | ResponseRow | UnderstandingRow | AspectRow) -> None:
        if isinstance(row, AspectRow):
            self.labels[row.split]["rows"] += 1
            self.outcomes["clean"] += 1
            return
        self.outcomes[row.outcome] += 1
        if isinstance(row, UnderstandingRow):
            self.labels[row.split]["rows"] += 1
            self.parts["analysis"] += row.analysis is not None
            self.parts["rewrite"] += row.rewrite is not None
            self.parts["opinions"] += len(row.analysis or ())
            return
        if isinstance(row, ResponseRow):
            self.labels[row.split]["rows"] += 1
            self.earlier_answers += sum(turn.role == "assistant" for turn in row.history)
            return
        if self.recipe.task == "sentiment":
            self.labels[row.split][row.gold or ""] += 1
            return
        self.labels[row.split]["(tie)" if row.label is None else row.label] += 1
        if row.gold is not None:
            self.judged[row.split] += 1
            self.right[row.split] += row.label == row.gold

    def reject(self, row: Reject) -> None:
        self.rejected += 1
        self.failures[row.detail] += row.reason == "teacher_failed"
        self.unusable += row.stage == "teacher" and row.reply is not None
        self.reasons[row.reason] += 1

    @property
    def kept(self) -> int:
        return sum(labels.total() for labels in self.labels.values())

    def check(self) -> None:
        """Raise if a row was lost or doubled: that would be our bug."""
        if self.drawn != self.kept + self.rejected or self.read != self.not_drawn + self.unfit + self.drawn:
            raise AssertionError(f"rows do not add up: {self.facts()}")

    def usage(self) -> Usage:
        return Usage(self.prompt, self.cached, self.completion)

    def facts(self) -> dict[str, Any]:
        """The manifest's figures."""
        price: Price | None = self.recipe.teacher.price
        return {
            "read": self.read,
            "not_drawn": self.not_drawn,
            "unfit": self.unfit,
            "asked": self.drawn,
            "kept": self.kept,
            "rejected": self.rejected,
            "reasons": dict(self.reasons.most_common()),
            "rows": {split: dict(sorted(labels.items())) for split, labels in self.labels.items()},
            "outcomes": dict(self.outcomes),
            "parts": dict(self.parts),
            "turns": {
                "earlier_answers": self.earlier_answers,
                "cut_conversations": self.left_out[0],
                "left_out": self.left_out[1],
            },
            "teacher_right": {split: [self.right[split], self.judged[split]] for split in SPLITS if self.judged[split]},
            "failed_as": self.failures.most_common(1)[0][0] if self.failures.total() else None,
            "replies": self.replies,
            "asked_again": self.again,
            "tokens": {"prompt": self.prompt, "cached": self.cached, "completion": self.completion},
            "usd": None if price is None else round(price.cost(self.usage()), 6),
        }


def summary(facts: dict[str, Any]) -> list[str]:
    """The figures of a manifest in a few lines."""
    sizes = ", ".join(f"{sum(labels.values()):,} {split}" for split, labels in facts["rows"].items() if labels)
    out = facts["unfit"] + facts["rejected"]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in facts["reasons"].items())
    lines = [
        f"rows: {facts['kept']:,} kept ({sizes or 'none'}), {out:,} rejected" + (f" ({reasons})" if out else ""),
    ]
    lines += [f"rows: of conversations, {told}" for told in turns_told(facts["turns"])]
    lines += [f"rows: {told}" for told in (*parts_told(facts), *tuples_told(facts))]
    judged = sum(of for _, of in facts["teacher_right"].values())
    if judged:
        right = sum(right for right, _ in facts["teacher_right"].values())
        lines.append(
            f"rows: the teacher agrees with the human label on {right:,} of {judged:,} rows ({right / judged:.1%})"
        )
    repaired = facts["outcomes"].get("repaired", 0)
    again = facts["asked_again"]
    if repaired or again:
        lines.append(
            f"rows: {repaired:,} from repaired replies; {again:,} of all {facts['replies']:,} replies are second tries"
        )
    return lines


def parts_told(facts: dict[str, Any]) -> list[str]:
    """What understanding rows have, and why some lack a part."""
    parts, lost = facts.get("parts"), facts.get("lost")
    if not parts:
        return []
    told = (
        f"{parts['analysis']:,} with an analysis ({parts['opinions']:,} opinions), {parts['rewrite']:,} with a rewrite"
    )
    why = ", ".join(f"{count:,} {reason}" for reason, count in (lost or {}).items())
    return [told + (f"; parts that could not be used: {why}" if why else "")]


def tuples_told(facts: dict[str, Any]) -> list[str]:
    """What was made of gold tuples."""
    tuples = facts.get("tuples")
    if not tuples:
        return []
    told = f"{counted(tuples['tuples'], 'gold tuple')}, none in {counted(tuples['without_tuples'], 'text')}"
    if tuples["elsewhere"]:
        told += f"; {counted(tuples['elsewhere'], 'term')} found at another place than the source gives"
        told += f" (first in {', '.join(facts['moved'])})" if facts.get("moved") else ""
    if tuples["without_term"]:
        told += f"; {counted(tuples['without_term'], 'tuple')} without a term (NULL) left out"
    return [told]


def turns_told(turns: dict[str, int]) -> list[str]:
    """What of conversations is not learnt, in one sentence; none where all is."""
    told = []
    if turns["earlier_answers"]:
        told.append(f"{turns['earlier_answers']:,} earlier answers are history")
    if turns["left_out"]:
        where = f"at the end of {turns['cut_conversations']:,}"
        told.append(f"{turns['left_out']:,} turns {where} have no answer and are left out")
    return [f"the last answer is learnt; {', '.join(told)}"] if told else []

"""Label rows of a local teacher: what it is asked about an example, and what its scores make of it.

A request says the text, the hypothesis of each label and max_length, and nothing that is applied to the scores
afterwards: temperature, several labels or one, calibration. They are applied here, when rows are written, so that
changing them costs no run of the model. Pure over the journal, like all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from recipes.chat import ChatRequest, Message, Reply, Sampling
from recipes.local_teacher import LocalTeacher
from recipes.rows import Example, LabelRow, Reject
from recipes.schema import Recipe
from recipes.stages import teacher_identity
from synth.journal import Failure
from synth.tasks.asking import Lookup, teacher_reject

_FIXED = Sampling(temperature=0.0, max_tokens=1)
"""Nothing is drawn and nothing is written: a request has a sampling all the same."""
_DIGITS = 6
"""Decimals of a score that are kept: a probability moves by less than 1e-6."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a local teacher gave for one text.

    figures: kind -> label -> raw score: logits named entailment, contradiction and neutral (as far as the model has
    them), or cosine. cut: whether the end of the text was beyond what the model read. most: the tokens that it takes,
    where those are fewer than max_length.
    """

    figures: dict[str, dict[str, float]]
    cut: bool = False
    most: int | None = None

    def write(self) -> str:
        """As JSON: the text of a reply."""
        rounded = {
            kind: {label: round(score, _DIGITS) for label, score in scores.items()}
            for kind, scores in self.figures.items()
        }
        fewer = {} if self.most is None else {"most": self.most}
        return orjson.dumps(rounded | {"cut": self.cut} | fewer).decode()


def read_scores(text: str, labels: Sequence[str]) -> Scores | None:
    """What `Scores.write` wrote; None for anything else, and where a label is missing."""
    try:
        found: Any = orjson.loads(text)
        cut, most = found.pop("cut"), found.pop("most", None)
        figures = {kind: {label: float(scores[label]) for label in labels} for kind, scores in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    finite = all(math.isfinite(score) for scores in figures.values() for score in scores.values())
    return Scores(figures, bool(cut), most) if figures and finite else None


def raw_scores(teacher: LocalTeacher, figures: dict[str, dict[str, float]], labels: Sequence[str]) -> list[float]:
    """One score a label, before calibration and temperature: a cosine, an entailment logit, or where several labels
    may hold how far it is above the logit of contradiction.

    Raises KeyError where the figures are not those of this kind of teacher.
    """
    if teacher.provider == "embedding":
        return [figures["cosine"][label] for label in labels]
    if not teacher.multi_label:
        return [figures["entailment"][label] for label in labels]
    return [figures["entailment"][label] - figures["contradiction"][label] for label in labels]


def probabilities(scores: Sequence[float], offsets: Sequence[float], divisor: float, apart: bool) -> tuple[float, ...]:
    """Softmax over labels of (score - offset) / divisor; apart: its sigmoid for each label by itself, which is the
    softmax over entailment and contradiction.
    """
    scaled = [(score - offset) / divisor for score, offset in zip(scores, offsets, strict=True)]
    if apart:
        return tuple(_sigmoid(one) for one in scaled)
    powers = [math.exp(one - max(scaled)) for one in scaled]
    return tuple(power / sum(powers) for power in powers)


def _sigmoid(score: float) -> float:
    power = math.exp(-abs(score))
    return 1 / (1 + power) if score >= 0 else power / (1 + power)


class ScoreTask:
    """The labelling of one recipe's examples by its local teacher. offsets: what is taken off each label's score.

    cut: texts of the rows settled so far whose end the teacher did not see. most: the tokens it takes, where fewer than
    max_length. applied: of several labels, the rows that likely have each of them; without: those that have none.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.teacher = recipe.local_teacher()
        self.labels = recipe.labels
        self.hypotheses = {label: self.teacher.words(label) for label in recipe.labels}
        self.offsets = [0.0] * len(recipe.labels)
        self.means: dict[str, float] | None = None
        self.cut = 0
        self.most: int | None = None
        self.applied = dict.fromkeys(recipe.labels, 0)
        self.without = 0
        terms = {"hypotheses": self.hypotheses, "max_length": self.teacher.max_length}
        self._terms = Message("system", orjson.dumps(terms, option=orjson.OPT_SORT_KEYS).decode())
        self._identity = teacher_identity(recipe)

    def request(self, example: Example) -> ChatRequest:
        """What is asked about an example."""
        messages = (self._terms, Message("user", example.fields["text"]))
        return ChatRequest(self.teacher.address(), self._identity, messages, _FIXED)

    def advance(self, example: Example, lookup: Lookup) -> tuple[list[ChatRequest], LabelRow | Reject | None]:
        """The request where it has no reply yet, else what the reply makes of the example."""
        request = self.request(example)
        found = lookup(request)
        return ([request], None) if found is None else ([], self._settled(example, found))

    def settle(self, example: Example, lookup: Lookup) -> LabelRow | Reject:
        """The row that the scores make, or why they make none."""
        return self._settled(example, lookup(self.request(example)))

    def calibrate(self, examples: Iterable[Example], lookup: Lookup) -> None:
        """Where the teacher is to be calibrated: take off each label's mean score over the train rows, as far as it is
        above the mean of all labels (batch calibration, arXiv 2309.17249; nothing changes where labels exclude each
        other, and where they do not the texts' share of labels stays as it is).
        """
        if not self.teacher.calibrates:
            return
        totals, rows = [0.0] * len(self.labels), 0
        for example in examples:
            scores = self._scores(lookup(self.request(example))) if example.split == "train" else None
            if scores is not None:
                rows += 1
                totals = [total + score for total, score in zip(totals, scores[0], strict=True)]
        means = [total / max(rows, 1) for total in totals]
        middle = sum(means) / len(means)
        self.means = dict(zip(self.labels, means, strict=True))
        self.offsets = [mean - middle for mean in means]

    def facts(self) -> dict[str, Any]:
        """Figures for the rows' manifest and card."""
        means = self.means and {label: round(mean, 4) for label, mean in self.means.items()}
        return {"hypotheses": self.hypotheses, "mean_scores": means, "cut": self.cut, "most": self.most} | (
            {"applied": self.applied, "without_label": self.without} if self.teacher.multi_label else {}
        )

    def _scores(self, found: Reply | Failure | None) -> tuple[list[float], Scores] | None:
        """One score a label, and what the reply holds; None where it holds none."""
        read = read_scores(found.text, self.labels) if isinstance(found, Reply) else None
        try:
            return (raw_scores(self.teacher, read.figures, self.labels), read) if read is not None else None
        except KeyError:
            return None

    def _settled(self, example: Example, found: Reply | Failure | None) -> LabelRow | Reject:
        scores = self._scores(found)
        if scores is None:
            return self._reject(example, found)
        self.cut += scores[1].cut
        self.most = scores[1].most or self.most
        soft = probabilities(scores[0], self.offsets, self.teacher.divisor, self.teacher.multi_label)
        applied = [name for name, share in zip(self.labels, soft, strict=True) if share >= 0.5]
        self.without += not applied
        for name in applied:
            self.applied[name] += 1
        label = self.labels[max(range(len(soft)), key=soft.__getitem__)]
        return LabelRow.of(example, label, soft, votes=(label,))

    def _reject(self, example: Example, found: Reply | Failure | None) -> Reject:
        if found is None:
            return teacher_reject(example, "not_recorded", "the journal has no reply to this request", None)
        if isinstance(found, Failure):
            return teacher_reject(example, "teacher_failed", f"{found.kind}: {found.message}", None)
        return teacher_reject(example, "malformed", "the reply does not hold a score for each label", found)

"""What is measured on generated answers: one table that the scores, tests, tables and verdicts all read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """One figure.

    kind: share (0 to 1, shown in percent), points (0 to 1, shown as 0 to 100) or plain (shown with `digits` decimals).
    better: 1 where more is better, -1 where less is, 0 where neither is. yes_no: whether a row has it or has it not.
    claims: how a verdict puts "better than" and "worse than".
    """

    head: str
    meaning: str
    kind: Literal["share", "points", "plain"]
    better: int
    digits: int = 1
    yes_no: bool = False
    claims: tuple[str, str] = ("is better than", "is worse than")


MEASURES: dict[str, Measure] = {
    "rouge_l": Measure(
        "ROUGE-L", "overlap with the reference response: longest common run of words, F1 of 100", "points", 1,
        claims=("comes closer to the reference responses than", "stays farther from the reference responses than"),
    ),
    "chrf": Measure(
        "chrF", "overlap with the reference responses in character 1- to 6-grams, over all answers together, of 100",
        "points", 1,
    ),
    "bits_per_char": Measure(
        "Bits/char",
        "held-out loss of the reference responses and their end in bits a character: comparable between tokenizers",
        "plain", -1, 3, claims=("predicts the held-out responses better than", "predicts them worse than"),
    ),
    "loss": Measure("Loss", "held-out loss of the reference responses in nats a token", "plain", -1, 3),
    "perplexity": Measure(
        "Perplexity", "exp of the held-out loss a token: comparable only between models of one tokenizer", "plain",
        -1, 2,
    ),
    "answered": Measure("Answered", "share of the questions that got a response at all", "share", 1, yes_no=True),
    "stopped": Measure(
        "Stops", "share of the answers that ended by themselves, before max_new_tokens", "share", 1, yes_no=True
    ),
    "valid": Measure("Valid", "share of the answers in the form that the format asks for", "share", 1, yes_no=True),
    "grounded": Measure(
        "Grounded", "share of the responses without a number, name or quotation that neither facts nor question have",
        "share", 1, yes_no=True, claims=("keeps to the facts more often than", "keeps to the facts less often than"),
    ),
    "meta_talk": Measure(
        "Meta-talk", "share of the responses that speak of a context that no reader was shown", "share", -1, yes_no=True
    ),
    "repeats": Measure(
        "Repeats", "share of an answer's word 4-grams that stood in it before: near 100% is a loop", "share", -1
    ),
    "words": Measure("Words", "mean length of a response in words", "plain", 0),
    "tokens": Measure("Tokens", "mean tokens of an answer, reasoning included", "plain", 0),
}  # fmt: skip


def paired_head(measure: str) -> str:
    """What a test of two models calls a measure: chrF is tested answer by answer, and shown of all together."""
    return "chrF by answer" if measure == "chrf" else MEASURES[measure].head


PAIRED = ("bits_per_char", "rouge_l", "chrf", "answered", "stopped", "valid", "grounded", "meta_talk", "repeats")
"""What models are tested in, in the order of the report."""
PAIRED_WITH_TEACHER = ("grounded", "meta_talk", "repeats")
"""What a teacher can be beaten in: it is its own reference, and what it did not answer is no row."""

"""student.json of a seq2seq student: what it is, what it learnt from, and how its validation went."""

from __future__ import annotations

import math
from typing import Any, Literal

from finetune.record import Record, Trained, read_student_file
from recipes.runs import RunFolder
from recipes.seq2seq_student import Target


class Seq2seqEpoch(Record):
    """One pass over the training rows, and the validation after it: None without validation rows.

    loss, validation_loss: nats per token that is to be written. score: micro F1 of tuples, None of other texts.
    """

    epoch: int
    loss: float
    validation_loss: float | None = None
    score: float | None = None


class Seq2seqSeed(Trained):
    """One trained model: seed-<n>/training.json.

    best_epoch: the epoch whose weights these are, that of the best score, else of the lowest loss, else the last.
    losses: training loss of each step, in order. micro_tokens: padded tokens that went through the model at once.
    """

    best_epoch: int
    score: float | None
    validation_loss: float | None
    steps: int
    steps_per_epoch: int
    device: str
    precision: str
    micro_tokens: int
    epochs: list[Seq2seqEpoch]
    losses: list[float]


class Seq2seqRecord(Record):
    """students/<name>/student.json of a seq2seq student.

    score, validation_loss: means over the seeds, of their best epochs; deviation: the sample's (n - 1) of what chose
    them, None for one seed. rows: exercises by split; rejected: those left out, each of them in rejected.jsonl;
    skipped: reason -> rows without a part that is to be written. truncated: texts that were cut. unknown: targets with
    a character that the tokenizer does not know.
    """

    name: str
    kind: Literal["seq2seq"]
    base: str
    revision: str | None
    data: str | None
    task: str
    targets: list[Target]
    prefixes: dict[Target, str]
    share: float
    max_length: int
    max_target_length: int
    rows: dict[str, int]
    rejected: dict[str, int]
    skipped: dict[str, int]
    truncated: int
    unknown: int
    best_seed: int
    score: float | None
    validation_loss: float | None
    deviation: float | None
    seconds: float
    device: str
    hyperparameters: dict[str, Any]
    seeds: dict[int, Seq2seqSeed]


def best_seq2seq_seed(seeds: dict[int, Seq2seqSeed]) -> int:
    """The seed with the best validation score; of equal ones, and where there are none, that with the lowest loss; the
    first named where these are equal too, or there was no validation."""

    def rank(seed: int) -> tuple[float, float]:
        one = seeds[seed]
        loss = math.inf if one.validation_loss is None else one.validation_loss
        return -1.0 if one.score is None else one.score, -loss

    return max(seeds, key=rank)


def read_seq2seq_record(run: RunFolder, name: str) -> Seq2seqRecord:
    """student.json of a trained seq2seq student. Raises TrainingError where there is none."""
    return read_student_file(run, name, Seq2seqRecord)

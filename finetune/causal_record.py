"""student.json of a generative student: what it is, what it learnt from, and how its validation loss went."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from finetune.record import Record, StudentRecord, Trained, read_record, read_student_file
from finetune.seq2seq_record import Seq2seqRecord, read_seq2seq_record
from recipes.runs import RunFolder
from recipes.students import Answering, Lora


class Validation(Record):
    """The validation loss after a step: nats per completion token."""

    step: int
    loss: float


class CausalSeed(Trained):
    """One trained generative model: seed-<n>/training.json.

    best_step: the step whose weights these are: that of the lowest validation loss, else the last.
    losses: training loss of each step, in order: nats per completion token.
    completion_tokens_per_epoch: those under the loss. tokens_per_second: of prompts too, padding not; not repeatable.
    backend: unsloth or plain. packed: rows shared sequences.
    """

    best_step: int
    validation_loss: float | None
    steps: int
    steps_per_epoch: int
    completion_tokens_per_epoch: int
    tokens_per_second: float
    device: str
    precision: str
    backend: str
    packed: bool
    micro_batch: int
    gradient_checkpointing: bool
    validations: list[Validation]
    losses: list[float]


class CausalRecord(Record):
    """students/<name>/student.json of a generative student.

    validation_loss: mean over the seeds, of their best checkpoints; deviation: the sample's (n - 1), None for one seed.
    rejected: rows left out by split, each of them in rejected.jsonl.
    """

    name: str
    kind: Literal["causal"]
    base: str
    revision: str | None
    format: Literal["alpaca", "think", "chat"]
    instruction: str | None
    max_length: int
    quantization: Literal["nf4", "none"]
    lora: Lora | None
    answering: Answering
    rows: dict[str, int]
    rejected: dict[str, int]
    best_seed: int
    validation_loss: float | None
    perplexity: float | None
    deviation: float | None
    seconds: float
    device: str
    hyperparameters: dict[str, Any]
    seeds: dict[int, CausalSeed]


def best_causal_seed(seeds: dict[int, CausalSeed]) -> int:
    """The seed with the lowest validation loss; the first named where they are equal or there are none."""
    known = {seed: one.validation_loss for seed, one in seeds.items() if one.validation_loss is not None}
    return min(known, key=lambda seed: known[seed]) if known else next(iter(seeds))


def read_causal_record(run: RunFolder, name: str) -> CausalRecord:
    """student.json of a trained generative student. Raises TrainingError where there is none."""
    return read_student_file(run, name, CausalRecord)


def read_any_record(run: RunFolder, name: str) -> StudentRecord | CausalRecord | Seq2seqRecord:
    """student.json of a trained student of any kind. Raises TrainingError where there is none."""
    try:
        kind = orjson.loads((run.student(name) / "student.json").read_bytes()).get("kind")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind == "seq2seq":
        return read_seq2seq_record(run, name)
    return read_causal_record(run, name) if kind == "causal" else read_record(run, name)

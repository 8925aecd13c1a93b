"""student.json: what a student learnt from, how well each of its seeds did in validation, and which is best."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from recipes.errors import TrainingError
from recipes.runs import RunFolder, file_digest, write_atomic

SEED_FILE = "training.json"


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Trained(Record):
    """What every record of one trained model has: seed-<n>/training.json.

    fingerprint: sha256 of all that it depends on; a finished seed with the same one is not trained again.
    files: sha256 of each file of the model.
    seconds: spent training, over all the times it was stopped and taken up again; not repeatable.
    """

    fingerprint: str
    seed: int
    seconds: float
    files: dict[str, str] = {}


class EpochRecord(Record):
    """One pass over the training rows; all but `loss` is of the validation rows, None without any."""

    epoch: int
    loss: float
    macro_f1: float | None = None
    accuracy: float | None = None
    validation_loss: float | None = None


class SeedRecord(Trained):
    """One trained classifier: seed-<n>/training.json.

    best_epoch: the epoch whose weights these are: that of the best macro F1, with several labels a text that of the
    lowest validation loss, else the last. losses: training loss of each step, in order.
    """

    best_epoch: int
    macro_f1: float | None
    accuracy: float | None
    validation_loss: float | None = None
    steps: int
    device: str
    precision: str
    truncated: int
    epochs: list[EpochRecord]
    losses: list[float]


class StudentRecord(Record):
    """students/<name>/student.json of a classifier.

    macro_f1, validation_loss: on validation rows, means over the seeds; deviation: the sample's (n - 1) of what chose
    their epochs, None for one seed.
    human_labels: gold labels that this student (not its base) was shown, to train and to choose the epoch.
    multi_label: each label has a probability of its own; macro_f1 is that of the likeliest one, and the loss chose.
    """

    name: str
    kind: str
    base: str
    labels: list[str]
    max_length: int
    rows: dict[str, int]
    skipped: dict[str, int]
    truncated: int
    human_labels: int
    multi_label: bool = False
    best_seed: int
    macro_f1: float | None
    validation_loss: float | None = None
    deviation: float | None
    seconds: float
    device: str
    hyperparameters: dict[str, Any]
    seeds: dict[int, SeedRecord]

    @property
    def temperature(self) -> float:
        """What its losses are softened by and scaled with the square of: in nats at 1 alone."""
        settings = self.hyperparameters
        return float(settings.get("temperature", 1.0)) if settings.get("targets") == "soft" else 1.0


RecordType = TypeVar("RecordType", bound=Record)
TrainedType = TypeVar("TrainedType", bound=Trained)


def best_seed(seeds: dict[int, SeedRecord], by_loss: bool) -> int:
    """The seed that did best in validation, by macro F1 or by loss; the first named where they are equal or there was
    none."""
    if by_loss:
        return min(seeds, key=lambda seed: _or(seeds[seed].validation_loss, math.inf))
    return max(seeds, key=lambda seed: _or(seeds[seed].macro_f1, -1.0))


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def mean_and_deviation(values: list[float | None]) -> tuple[float | None, float | None]:
    """Of what the seeds reached; those without a value left out."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return mean(known), (stdev(known) if len(known) > 1 else None)


def read_record(run: RunFolder, name: str) -> StudentRecord:
    """student.json of a trained classifier. Raises TrainingError where there is none."""
    return read_student_file(run, name, StudentRecord)


def read_student_file(run: RunFolder, name: str, kind: type[RecordType]) -> RecordType:
    """student.json as a record of this kind. Raises TrainingError where there is none."""
    path = run.student(name) / "student.json"
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TrainingError(
            f"the student {name} is not trained yet ({path} is missing): run python -m finetune first"
        ) from None
    except ValueError:
        raise TrainingError(f"{path} is damaged: delete it and run python -m finetune again") from None


def read_seed(folder: Path, fingerprint: str, kind: type[TrainedType]) -> TrainedType | None:
    """The record of a finished seed, or None where this very training was not finished in `folder` or its model is
    no longer what it was.
    """
    try:
        record = kind.model_validate_json((folder / SEED_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    whole = all(file_digest(folder / name) == sha for name, sha in record.files.items())
    return record if record.fingerprint == fingerprint and whole else None


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    write_atomic(path, record.model_dump_json(indent=1).encode())

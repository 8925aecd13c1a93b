"""student.json: what a student learnt from, how well each of its seeds did in validation, and which is best."""

from __future__ import annotations

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
    """One pass over the training rows. `macro_f1` and `accuracy` are those of the validation rows, None without any."""

    epoch: int
    loss: float
    macro_f1: float | None = None
    accuracy: float | None = None


class SeedRecord(Trained):
    """One trained classifier: seed-<n>/training.json.

    losses: training loss of each step, in order.
    """

    best_epoch: int
    macro_f1: float | None
    accuracy: float | None
    steps: int
    device: str
    precision: str
    truncated: int
    epochs: list[EpochRecord]
    losses: list[float]


class StudentRecord(Record):
    """students/<name>/student.json of a classifier.

    macro_f1: on validation rows, mean over the seeds; deviation: the sample's (n - 1), None for one seed.
    human_labels: gold labels that this student (not its base) was shown, to train and to choose the epoch.
    multi_label: each label has a probability of its own; the scores are those of the likeliest one.
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
    deviation: float | None
    seconds: float
    device: str
    hyperparameters: dict[str, Any]
    seeds: dict[int, SeedRecord]


RecordType = TypeVar("RecordType", bound=Record)
TrainedType = TypeVar("TrainedType", bound=Trained)


def best_seed(seeds: dict[int, SeedRecord]) -> int:
    """The seed with the best validation score; the first named where scores are equal or there are none."""
    return max(seeds, key=lambda seed: -1.0 if seeds[seed].macro_f1 is None else float(seeds[seed].macro_f1 or 0.0))


def mean_and_deviation(seeds: dict[int, SeedRecord]) -> tuple[float | None, float | None]:
    """Validation macro F1 over the seeds."""
    scores = [one.macro_f1 for one in seeds.values() if one.macro_f1 is not None]
    if not scores:
        return None, None
    return mean(scores), (stdev(scores) if len(scores) > 1 else None)


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

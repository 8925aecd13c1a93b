"""One model per seed: trained once, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from finetune import processes
from finetune.bases import Base
from finetune.hardware import free_memory
from finetune.record import SEED_FILE, TrainedType, read_seed, write_record
from recipes.console import say
from recipes.runs import RunFolder, digest, file_digest


def one_seed(
    run: RunFolder, name: str, seed: int, fingerprint: str, title: str, kind: type[TrainedType],
    train: Callable[[Path, Path], TrainedType],
) -> TrainedType:  # fmt: skip
    """Train one seed, unless it was finished before the process was stopped; its folder appears whole or not at all.

    train: writes the model to the first folder, its checkpoints to the second, and returns its record.
    """
    folder = run.student(name, seed)
    record = processes.agree(lambda: read_seed(folder, fingerprint, kind))
    if record is not None:
        say(f"{title}: finished before")
        return record
    partial = folder.with_name(folder.name + ".partial")
    work = run.student(name) / "checkpoints" / folder.name
    if processes.leads():
        shutil.rmtree(partial, ignore_errors=True)
    record = train(partial, work)
    free_memory()  # for the next seed, the next student, and the process that compares them
    if processes.leads():
        record.files = {path.name: file_digest(path) for path in sorted(partial.iterdir())}
        write_record(partial / SEED_FILE, record)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        shutil.rmtree(work, ignore_errors=True)
    processes.wait()
    return record


def taught_files(base: Base) -> str | None:
    """The files of the student that another is built on, as its training recorded them; None for any other base."""
    if base.taught_length is None:
        return None
    return digest(json.loads((Path(base.place) / SEED_FILE).read_text(encoding="utf-8"))["files"])

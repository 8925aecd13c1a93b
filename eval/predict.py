"""predictions/<model>.jsonl: what each model answered to each scored row, kept and used again while nothing changed."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.baselines import Answers
from eval.comparison import Role
from eval.metrics import MISSING, Codes, Floats
from eval.models import Entrant
from eval.scored import ScoredRows, to_codes
from recipes.errors import RunError
from recipes.rows import Row, read_rows, write_rows
from recipes.runs import RunFolder

WARM_UP = 16
"""Texts answered before the clock starts, so that a first call's set-up is not counted as speed."""


class Prediction(Row):
    """One answer: a line of predictions/<model>.jsonl. `probabilities` are in the order of the recipe's labels."""

    id: str
    prediction: str | None
    probabilities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Answered:
    """A model's answers to the scored rows: (n,) labels, -1 for none, and (n, labels) probabilities where it has them.

    rows_per_second: as measured when the answers were made, on `machine`; None for the teacher, who answered before.
    cut: texts that were longer than the model reads. precision: what a student computed in, or nothing.
    """

    name: str
    role: Role
    seed: int | None
    predicted: Codes
    probabilities: Floats | None
    rows_per_second: float | None
    machine: str | None = None
    cut: int = 0
    precision: str = ""

    def where(self, chosen: NDArray[np.bool_]) -> Answered:
        """Its answers to some of the rows; chosen: (n,)."""
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        return replace(self, predicted=self.predicted[chosen], probabilities=probabilities)


def teacher_answers(run: RunFolder, scored: ScoredRows, labels: tuple[str, ...]) -> Answered:
    """The teacher's answers, as its rows already hold them; written beside the others for people to read."""
    answers = Answers(scored.teacher, scored.teacher_soft)
    write_rows(run.path / "predictions" / "teacher.jsonl", _lines(scored, answers, labels))
    return Answered("teacher", "teacher", None, answers.predicted, answers.probabilities, None)


def answers_of(entrant: Entrant, run: RunFolder, scored: ScoredRows, labels: tuple[str, ...]) -> Answered:
    """A model's answers: read from disk where their inputs are unchanged, else made, timed and written."""
    path = run.path / "predictions" / f"{entrant.stem()}.jsonl"
    stage = f"predictions-{entrant.stem()}"
    inputs = entrant.inputs | {"scored rows": scored.digest()}
    manifest = None if run.why_stale(stage, inputs) else run.manifest(stage)
    if manifest is None:
        run.begin(stage)
        answers, speed = _timed(entrant, scored)
        write_rows(path, _lines(scored, answers, labels))
        measured = {
            "rows_per_second": speed, "machine": machine(), "cut": answers.cut, "precision": answers.precision
        }  # fmt: skip
        manifest = run.finish(stage, inputs, [path], measured)
    answers = _read(path, scored, labels)  # from disk every time: figures are the same whether it was there or not
    facts = manifest.facts
    speed, where = facts["rows_per_second"], facts["machine"]
    predicted, probabilities = answers.predicted, answers.probabilities
    return Answered(
        entrant.name, entrant.role, entrant.seed, predicted, probabilities, speed, where, facts.get("cut", 0),
        facts.get("precision", ""),
    )  # fmt: skip


def machine() -> str:
    """The machine that answers, in words: what a rate in rows/s is worth nothing without."""
    words = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    torch = sys.modules.get("torch")  # not imported for this alone: it takes a second
    if torch is not None and torch.cuda.is_available():
        words += f", {torch.cuda.get_device_name()}"
    return words


def _timed(entrant: Entrant, scored: ScoredRows) -> tuple[Answers, float]:
    answer = entrant.open()
    texts = list(scored.texts)
    answer(texts[:WARM_UP])
    started = time.perf_counter()
    answers = answer(texts)
    return answers, round(len(texts) / max(time.perf_counter() - started, 1e-9), 1)


def _lines(scored: ScoredRows, answers: Answers, labels: tuple[str, ...]) -> list[Prediction]:
    said = [None if place == MISSING else labels[place] for place in answers.predicted.tolist()]
    return [
        Prediction(id=row_id, prediction=label, probabilities=_vector(answers.probabilities, place))
        for place, (row_id, label) in enumerate(zip(scored.ids, said, strict=True))
    ]


def _vector(probabilities: Floats | None, place: int) -> tuple[float, ...] | None:
    if probabilities is None or np.isnan(probabilities[place]).any():
        return None
    return tuple(round(float(value), 6) for value in probabilities[place])


def _read(path: Path, scored: ScoredRows, labels: tuple[str, ...]) -> Answers:
    lines = list(read_rows(path, Prediction))
    if tuple(line.id for line in lines) != scored.ids:
        raise RunError(f"{path} does not answer the rows of rows/test.jsonl, in their order: delete it and run again")
    vectors = [line.probabilities for line in lines]
    known = [vector for vector in vectors if vector is not None]
    if not known:
        return Answers(to_codes([line.prediction for line in lines], labels))
    empty = (float("nan"),) * len(labels)
    soft = np.array([empty if vector is None else vector for vector in vectors], dtype=np.float64)
    return Answers(to_codes([line.prediction for line in lines], labels), soft)

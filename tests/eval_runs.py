"""Run folders made by hand for the tests of eval: rows, a teacher that errs, students that err in their own way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finetune.hardware import Machine
from finetune.record import EpochRecord, SeedRecord, StudentRecord, write_record
from recipes.rows import LabelRow, Reject, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs

LABELS = ("negative", "neutral", "positive")
WORDS = {
    "negative": ["awful", "terrible", "hate this", "so sad"],
    "neutral": ["a bus", "tuesday", "the report", "at noon"],
    "positive": ["lovely", "great", "love this", "so happy"],
}


def recipe_of(**changes: Any) -> Recipe:
    """A small recipe with one student of two seeds; `changes` replace whole sections."""
    sections: dict[str, Any] = {
        "name": "tweets",
        "about": "Sentiment of short texts.",
        "task": "classify",
        "labels": LABELS,
        "source": {"path": "tweets.jsonl", "text": "text", "label": "label"},
        "teacher": {"provider": "endpoint", "model": "big-model", "base_url": "http://127.0.0.1:9/v1"},
        "synthesis": {"prompt": "sentiment-word"},
        "students": {"small": {"kind": "classifier", "base": "minilm", "seeds": (1, 2)}},
        "evaluation": {"resamples": 200},
    }
    return Recipe.model_validate(sections | changes)


def row_of(number: int, split: str, teacher_errs: float, seed: int, votes: int = 1) -> LabelRow:
    """A text that mostly says what its gold label is; the teacher errs with the probability given."""
    rng = random.Random(f"{split}-{number}-{seed}")
    gold = rng.choice(LABELS)
    heard = gold if rng.random() < 0.85 else rng.choice(LABELS)
    label = gold if rng.random() >= teacher_errs else rng.choice(LABELS)
    text = f"{split} {number}: {rng.choice(WORDS[heard])} and {rng.choice(WORDS[heard])}"
    cast = tuple(label if rng.random() < 0.8 else rng.choice(LABELS) for _ in range(votes)) if votes > 1 else (label,)
    return LabelRow(
        id=f"{split}-{number}", text=text, gold=gold, split=split, group=f"{split}-{number}", label=label,
        soft=tuple(cast.count(one) / votes for one in LABELS), votes=cast, outcome="clean",
        rationale=f"It says {heard}.",
    )  # fmt: skip


def make_rows(run: RunFolder, train: int = 60, test: int = 40, unanswered: int = 4, votes: int = 1) -> list[LabelRow]:
    """Write rows/ with some rejects of each stage; returns the kept test rows."""
    kept = [row_of(number, "test", 0.25, 0, votes) for number in range(test)]
    write_rows(run.rows / "train.jsonl", [row_of(number, "train", 0.2, 0, votes) for number in range(train)])
    write_rows(run.rows / "validation.jsonl", [row_of(number, "validation", 0.2, 0, votes) for number in range(10)])
    write_rows(run.rows / "test.jsonl", kept)
    rejects = [
        Reject(id=f"bad-{n}", text=f"so sad {n}", gold="negative", split="test", stage="teacher", reason="malformed")
        for n in range(unanswered)
    ]
    rejects.append(Reject(id="gone", text="", gold=None, split="test", stage="source", reason="empty_text"))
    rejects.append(Reject(id="lost", text="lovely", gold="positive", split="train", stage="teacher", reason="refused"))
    write_rows(run.rows / "rejects.jsonl", rejects)
    tokens = {"prompt": 90_000, "cached": 30_000, "completion": 6_000}
    asked = train + test + 10 + unanswered + 1
    run.finish("rows", {}, [run.rows / "test.jsonl"], {"not_drawn": 7, "asked": asked, "tokens": tokens})
    return kept


def make_student(
    run: RunFolder, name: str = "small", seeds: Sequence[int] = (1, 2), best: int = 2, recipe: Recipe | None = None
) -> None:
    """Write the record and the manifest of a student trained on the rows as they are; there are no weights."""
    trained = {
        seed: SeedRecord(
            fingerprint="0", seed=seed, best_epoch=3, macro_f1=0.7 + 0.01 * (seed == best), accuracy=0.7, steps=12,
            seconds=1.0, device="cpu", precision="fp32", truncated=0, losses=[1.0, 0.5],
            epochs=[EpochRecord(epoch=n, loss=1.2 / n, macro_f1=0.7 - 0.05 * abs(3 - n)) for n in range(1, 5)],
        )
        for seed in seeds
    }  # fmt: skip
    record = StudentRecord(
        name=name, kind="classifier", base="minilm", labels=list(LABELS), max_length=64, rows={"train": 60}, skipped={},
        truncated=0, human_labels=0, best_seed=best, macro_f1=0.705, deviation=0.007, seconds=2.0, device="cpu",
        hyperparameters={}, seeds=trained,
    )  # fmt: skip
    path = run.student(name) / "student.json"
    write_record(path, record)
    run.finish(f"student-{name}", student_inputs(recipe or recipe_of(), name, run), [path], {})


LONG = 60
"""Characters beyond which a fake student cuts."""


class FakeStudent:
    """Answers by the words of the text, and errs with its seed. `asked` counts the texts of all of them."""

    asked, machine = 0, Machine("cpu", "bf16", "a CPU")

    def __init__(self, name: str, seed: int, errs: float = 0.15) -> None:
        self.labels = ("positive", "negative", "neutral")  # not the recipe's order
        self.name, self.seed, self.errs, self.cut = name, seed, errs, 0

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        FakeStudent.asked += len(texts)
        self.cut = sum(len(text) > LONG for text in texts)
        found = np.full((len(texts), 3), 0.1, dtype=np.float32)
        for place, text in enumerate(texts):
            rng = random.Random(f"{self.name} {self.seed} {text}")
            heard = next((one for one in self.labels if any(word in text for word in WORDS[one])), "neutral")
            said = heard if rng.random() >= self.errs else rng.choice(self.labels)
            found[place, self.labels.index(said)] = rng.uniform(0.4, 1.9)
        return found / found.sum(axis=1, keepdims=True)


def open_fake(run: RunFolder, name: str, seed: int | None = None) -> FakeStudent:
    """Stands for finetune.student.open_student."""
    return FakeStudent(name, seed or 0)


def run_in(folder: Path) -> RunFolder:
    """An empty run folder."""
    return RunFolder(folder / "run")

"""Run folders of a generative recipe made by hand: rows, trained students without weights, and models that answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.answering import Generated, Question
from finetune.causal_record import CausalRecord, CausalSeed, Validation
from finetune.record import write_record
from recipes.rows import Reject, ResponseRow, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import student_inputs
from recipes.students import Answering

COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("kettle", "lamp", "chair", "radio", "clock", "bag")
BASE = "org/base"


def recipe_of(**changes: Any) -> Recipe:
    """A small recipe with one student; `changes` replace whole sections."""
    student = {"kind": "causal", "base": BASE, "format": "think", "answering": {"temperature": 0}}
    sections: dict[str, Any] = {
        "name": "products",
        "about": "Questions about products.",
        "task": "reasoning",
        "source": {"path": "products.jsonl", "fields": {"title": "title", "description": "description"}},
        "teacher": {"provider": "endpoint", "model": "big-model", "base_url": "http://127.0.0.1:9/v1"},
        "synthesis": {"prompt": "product-reasoning"},
        "students": {"tuned": student},
        "evaluation": {"resamples": 200},
    }
    return Recipe.model_validate(sections | changes)


def student_of(**changes: Any) -> dict[str, Any]:
    """A student's section."""
    return {"kind": "causal", "base": BASE, "format": "think", "answering": {"temperature": 0}} | changes


def row_of(number: int, split: str = "test") -> ResponseRow:
    """A product, what a shopper asks, and the teacher's answer: facts of the product and nothing else."""
    rng = random.Random(f"{split}-{number}")
    colour, thing, size = rng.choice(COLOURS), rng.choice(THINGS), 20 + number
    return ResponseRow(
        id=f"{split}-{number}", split=split, group=f"{split}-{number}",
        question=f"Which {colour} {thing} fits shelf {number}?",
        reasoning=f"They want a {colour} one. The {thing} is {size} cm high.",
        response=f"The {colour} {thing} is {size} cm high and fits on most shelves.",
        fields={"title": f"{colour} {thing}", "description": f"A {thing} in {colour}, {size} cm high."},
    )  # fmt: skip


def make_rows(run: RunFolder, test: int = 30, train: int = 40) -> list[ResponseRow]:
    """Write rows/ with a reject of each stage; returns the test rows."""
    kept = [row_of(number) for number in range(test)]
    write_rows(run.rows / "train.jsonl", [row_of(number, "train") for number in range(train)])
    write_rows(run.rows / "validation.jsonl", [row_of(number, "validation") for number in range(5)])
    write_rows(run.rows / "test.jsonl", kept)
    rejects = [
        Reject(id="gone", text="", split=None, stage="source", reason="empty_title"),
        Reject(id="lost", text="lamp", split="test", stage="filter", reason="ungrounded"),
    ]
    write_rows(run.rows / "rejects.jsonl", rejects)
    tokens = {"prompt": 60_000, "cached": 0, "completion": 30_000}
    facts = {"not_drawn": 3, "asked": test + train + 6, "tokens": tokens}
    run.finish("rows", {}, [run.rows / "test.jsonl"], facts)
    return kept


def make_student(run: RunFolder, recipe: Recipe, name: str = "tuned", seeds: Sequence[int] = (3407,)) -> None:
    """Write the record, the card and the manifest of a trained student, as finetune does; there are no weights."""
    student = recipe.causal(name)
    trained = {
        seed: CausalSeed(
            fingerprint="0", seed=seed, best_step=8, validation_loss=1.0 + 0.1 * place, steps=12, steps_per_epoch=6,
            seconds=1.0, completion_tokens_per_epoch=600, tokens_per_second=50.0, device="cpu", precision="fp32",
            backend="plain", packed=True, micro_batch=8, gradient_checkpointing=False,
            validations=[Validation(step=4, loss=1.4), Validation(step=8, loss=1.0), Validation(step=12, loss=1.1)],
            losses=[2.0 - 0.1 * step for step in range(12)],
        )
        for place, seed in enumerate(seeds)
    }  # fmt: skip
    record = CausalRecord(
        name=name, kind="causal", base=student.base, revision=None, format=student.format, instruction=None,
        max_length=student.max_length, quantization=student.quantization, lora=student.lora,
        answering=student.answering, rows={"train": 40, "validation": 5}, rejected={}, best_seed=seeds[0],
        validation_loss=1.0, perplexity=2.7, deviation=None, seconds=1.0, device="cpu", hyperparameters={},
        seeds=trained,
    )  # fmt: skip
    path = run.student(name) / "student.json"
    write_record(path, record)
    run.finish(f"student-{name}", student_inputs(recipe, name, run), [path], {})


@dataclass
class FakeSpeaker:
    """Answers as the teacher would, but for what it gets wrong. asked, opened: counts over all of them.

    errs: share of the answers that name another colour and size. nats: loss of a reference, a character.
    silent, runs_on: so many first questions get no response, and so many answers never stop. reworded: no answer is
    the teacher's to the letter.
    """

    rows: dict[str, ResponseRow]
    errs: float
    nats: float
    seed: int = 0
    silent: int = 0
    runs_on: int = 0
    reworded: bool = False

    asked = 0
    opened = 0
    open_now = 0

    def __post_init__(self) -> None:
        FakeSpeaker.opened += 1
        FakeSpeaker.open_now += 1
        assert FakeSpeaker.open_now == 1, "one model at a time"

    def __del__(self) -> None:
        FakeSpeaker.open_now -= 1

    def answer(
        self, questions: Sequence[Question], answering: Answering | None = None, seed: int = 0
    ) -> list[Generated]:
        """One answer per question."""
        FakeSpeaker.asked += len(questions)
        return [self._answer(one) for one in questions]

    def losses(self, rows: Sequence[ResponseRow]) -> list[tuple[float, int]]:
        """A loss that grows with the length, the same share for each row but for a little."""
        return [
            (self.nats * len(row.response) * (1 + 0.01 * (len(row.id) % 3)), len(row.response) // 4) for row in rows
        ]

    def _answer(self, question: Question) -> Generated:
        place = int(question.question.rstrip("?").rsplit(" ", 1)[-1])
        rng = random.Random(f"{self.seed} {self.errs} {place}")
        row = self.rows.get(question.question)
        said = row.response if row is not None else "I do not know what fits here."
        if rng.random() < self.errs:
            said = f"The context mentions a 999 cm {rng.choice(COLOURS)} thing. " + "It fits and fits and fits. " * 3
        if self.reworded:
            said += " It may suit you."
        if place < self.silent:
            return Generated("They want", "They want", "", False, False, 2)
        stopped = place >= self.runs_on
        return Generated(f"They want it.</think>{said}", "They want it.", said, True, stopped, len(said) // 4)


def speakers(rows: Sequence[ResponseRow], **models: dict[str, Any]) -> Any:
    """(name, seed) -> an open model; names as in the report, `base` for all bases."""
    known = {row.question: row for row in rows}

    def open_named(name: str, seed: int = 0) -> FakeSpeaker:
        return FakeSpeaker(known, **{"errs": 0.0, "nats": 0.5, "seed": seed, **models.get(name, {})})

    return open_named


def run_in(folder: Path) -> RunFolder:
    """An empty run folder."""
    return RunFolder(folder / "run")

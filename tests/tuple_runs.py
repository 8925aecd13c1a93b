"""Run folders made by hand for the tests of eval on seq2seq students: four datasets, students that err by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.hardware import Machine
from finetune.record import write_record
from finetune.seq2seq_record import Seq2seqEpoch, Seq2seqRecord, Seq2seqSeed
from recipes.aspects import target_text, write_opinions, write_tuples
from recipes.rows import Aspect, AspectRow, LabelRow, Opinion, Polarity, Split, UnderstandingRow, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.seq2seq_student import Target
from recipes.stages import student_inputs

FOODS = ("soup", "tea", "bread", "fish")
WORDS: dict[Polarity, str] = {"positive": "great", "negative": "bad", "neutral": "there"}
TEXT_OF: dict[str, Any] = {}
"""Text -> its row: what a fake student looks up."""


def student_of(**changes: Any) -> dict[str, Any]:
    return {"kind": "seq2seq", "base": "scratch", "seeds": (1, 2)} | changes


STUDENTS: dict[str, dict[str, Any]] = {
    "reader": student_of(epochs=3),
    "helped": student_of(base="students.reader", data="terms"),
    "plain": student_of(data="terms"),
    "sorter": student_of(data="kinds", seeds=(1,)),
}


def recipe_of(**changes: Any) -> Recipe:
    """A recipe of understanding with three datasets; `changes` replace whole sections."""
    source = {"path": "rows.jsonl", "text": "text"}
    sections: dict[str, Any] = {
        "name": "reviews",
        "about": "Opinions in reviews.",
        "task": "understanding",
        "source": source,
        "teacher": {"provider": "endpoint", "model": "big-model", "base_url": "http://127.0.0.1:9/v1"},
        "synthesis": {"prompt": "understanding-analysis"},
        "students": STUDENTS,
        "datasets": {
            "terms": {"task": "atsa", "source": source | {"aspects": "aspects"}},
            "kinds": {"task": "acsa", "source": source | {"aspects": "aspects"}},
            "moods": {"task": "sentiment", "source": source | {"label": "label"}},
        },
        "evaluation": {"resamples": 200, "machine_usd_per_hour": 1.0},
    }
    return Recipe.model_validate(sections | changes)


def review_of(split: Split, number: int, kind: str = "Review") -> UnderstandingRow:
    """A review of two foods with what a teacher said of it."""
    rng = random.Random(f"{kind} {split} {number}")
    foods, polarities = rng.sample(FOODS, 2), rng.choices(("positive", "negative", "neutral"), k=2)
    opinions = [
        Opinion(target=food, aspect="taste", sentiment=polarity, reasoning="it says so")
        for food, polarity in zip(foods, polarities, strict=True)
    ]
    said = " and ".join(f"the {one.target} is {WORDS[one.sentiment]}" for one in opinions)
    return UnderstandingRow(
        id=f"{split}-{number}", text=f"{kind} {number}: {said}.", split=split, group=f"r-{split}-{number}",
        analysis=tuple(opinions), rewrite=f"I feel that {said}.",
    )  # fmt: skip


def aspects_of(split: Split, number: int, task: str) -> AspectRow:
    """A text with two terms or categories; every third text has none."""
    rng = random.Random(f"{task} {split} {number}")
    text, aspects = f"{task} {number}:", []
    for food in rng.sample(FOODS, 2) if number % 3 else ():
        polarity: Polarity = rng.choice(("positive", "negative", "neutral"))
        text += f" the {food} is {WORDS[polarity]},"
        start = text.rindex(food)
        place = {"target": food, "start": start, "end": start + len(food)}
        aspects.append(Aspect(polarity=polarity, **(place if task == "atsa" else {"category": f"FOOD#{food}"})))
    mixed = len({one.polarity for one in aspects}) > 1
    return AspectRow(
        id=f"{split}-{number}", text=text, split=split, group=f"{task}-{split}-{number}", aspects=tuple(aspects),
        slices={"mixed": "yes" if mixed else "no"},
    )  # fmt: skip


def mood_of(split: Split, number: int) -> LabelRow:
    """A text whose label is the sign of its opinions, three times in four."""
    review = review_of(split, number, "Mood")
    label = random.Random(f"mood {split} {number}").choice(("negative", "neutral", "positive"))
    gold = sign_of(review) if number % 4 else label
    return LabelRow(
        id=f"{split}-{number}", text=review.text, gold=gold, split=split,
        group=f"m-{split}-{number}", label=None, soft=(), votes=(), outcome="clean",
    )  # fmt: skip


def sign_of(review: UnderstandingRow) -> str:
    total = sum({"positive": 1, "negative": -1}.get(one.sentiment, 0) for one in review.analysis or ())
    return "neutral" if not total else "positive" if total > 0 else "negative"


def make_rows(run: RunFolder, train: int = 30, test: int = 24) -> None:
    """Write the rows of the source and of the three datasets."""
    makers = {None: review_of, "terms": aspects_of, "kinds": aspects_of, "moods": mood_of}
    for dataset, make in makers.items():
        folder = run if dataset is None else run.of_dataset(dataset)
        for split, count in (("train", train), ("validation", 4), ("test", test)):
            more = ("atsa" if dataset == "terms" else "acsa",) if make is aspects_of else ()
            rows = [make(split, number, *more) for number in range(count)]
            write_rows(folder.rows / f"{split}.jsonl", rows)
            if dataset == "moods":
                for number, row in enumerate(rows):
                    TEXT_OF[row.text] = review_of(split, number, "Mood")
            else:
                TEXT_OF.update({row.text: row for row in rows})
        write_rows(folder.rows / "rejects.jsonl", [])
        facts = {"not_drawn": 0, "asked": train + test + 4, "tokens": {"prompt": 900, "completion": 300}}
        folder.finish("rows", {}, [folder.rows / "test.jsonl"], facts)


def make_student(run: RunFolder, recipe: Recipe, name: str) -> None:
    """Write the record and the manifest of a student trained on the rows as they are; there are no weights."""
    student = recipe.seq2seq(name)
    seeds = {
        seed: Seq2seqSeed(
            fingerprint="0", seed=seed, seconds=1.0, best_epoch=2, score=0.5 + seed / 100, validation_loss=1.0,
            steps=6, steps_per_epoch=3,
            device="cpu", precision="fp32", micro_tokens=100, losses=[2.0, 1.0],
            epochs=[Seq2seqEpoch(epoch=n, loss=2 / n, validation_loss=2 / n, score=n / 4) for n in (1, 2)],
        )
        for seed in student.seeds
    }  # fmt: skip
    task = recipe.task if student.data is None else recipe.datasets[student.data].task
    record = Seq2seqRecord(
        name=name, kind="seq2seq", base=student.base, revision=None, data=student.data, task=task,
        targets=["analysis", "rewrite"] if task == "understanding" else [task], prefixes={}, share=student.share,
        max_length=128, max_target_length=128, rows={"train": round(30 * student.share)}, rejected={}, skipped={},
        truncated=0, unknown=0, best_seed=max(student.seeds), score=0.5, validation_loss=1.0, deviation=0.01,
        seconds=2.0, device="cpu", hyperparameters={}, seeds=seeds,
    )  # fmt: skip
    path = run.student(name) / "student.json"
    write_record(path, record)
    for folder in (run.student(name), *(run.student(name, seed) for seed in student.seeds)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# A student\n", encoding="utf-8")
    run.finish(f"student-{name}", student_inputs(recipe, name, run), [path], {})


def ready(folder: Path, recipe: Recipe) -> RunFolder:
    """A run folder with rows and students, ready to be compared."""
    run = RunFolder(folder / "run")
    make_rows(run)
    for name in recipe.students:
        make_student(run, recipe, name)
    return run


@dataclass(frozen=True)
class Said:
    """One answer of a fake student."""

    text: str
    truncated: bool = False
    cut: bool = False


class FakeWriter:
    """Writes what the row of the text has; with the probability `errs` it says something else. `asked` counts texts."""

    asked, machine = 0, Machine("cpu", "bf16", "a CPU")

    def __init__(self, name: str, seed: int, errs: float) -> None:
        self.name, self.seed, self.errs = name, seed, errs

    def write(self, texts: Sequence[str], target: Target) -> list[Said]:
        FakeWriter.asked += len(texts)
        return [self._say(text, target) for text in texts]

    def _say(self, text: str, target: Target) -> Said:
        rng, row = random.Random(f"{self.name} {self.seed} {text} {target}"), TEXT_OF[text]
        written = target_text(row, target) or ""
        if rng.random() >= self.errs:
            return Said(written)
        if target == "rewrite":
            return Said("I feel", truncated=True)
        if target == "analysis":
            return Said(write_opinions([Opinion(target="chair", aspect="x", sentiment="positive", reasoning="")]))
        wrong = [one.model_copy(update={"polarity": "conflict"}) for one in row.aspects]
        return Said(f"{write_tuples('atsa' if target == 'atsa' else 'acsa', wrong)} ; moon | positive")


ERRS = {"reader": 0.3, "helped": 0.1, "plain": 0.6, "sorter": 0.2}


def open_fake(run: RunFolder, name: str, seed: int) -> FakeWriter:
    """Stands for eval.tuple_predict.open_writer."""
    return FakeWriter(name, seed, ERRS.get(name, 0.3))

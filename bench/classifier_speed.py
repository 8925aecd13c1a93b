#!/usr/bin/env python3
"""How quick the classifier student trains and answers, beside the plain way, in one run.

    python bench/classifier_speed.py [--data texts.jsonl] [--rows 320] [--rounds 3]

Training: transformers' Trainer in float32, every text padded to 128 tokens, random order, against ours (texts of one
length together, the precision the machine is quick in). Same rows, base, batch size, learning rate and thread count;
rows/s from the first step's begin to the last step's end.
Answering: pipeline("text-classification") one text at a time and with batch_size=32 (the better of the two counts)
against Student.predict, on the same texts and the same weights; also how far the probabilities are apart.

The ways take turns in each round; the ratio is the median over the rounds. Goals: training >= 2x, answering >= 3x.
Without --data the texts are recipes/data/tweets.jsonl: six in ten as they are, three in ten two of them in a row, one
in ten four, which is harder on us than tweets alone (the longer the texts, the less padding there is to save).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from clock import seconds_of

from finetune.bases import Base, load_classifier, load_tokenizer, minilm_folder
from finetune.course import Course
from finetune.encoding import encode
from finetune.hardware import Machine, find_machine
from finetune.lessons import Lesson
from finetune.silence import quiet
from finetune.student import load_student
from recipes.console import say
from recipes.students import ClassifierStudent

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("negative", "neutral", "positive")
MAX_LENGTH, BATCH, SEED = 128, 16, 42
GOALS = {"training": 2.0, "answering": 3.0}


def read_texts(data: Path | None, count: int) -> list[str]:
    """`count` texts: of the file's column `text`, or tweets mixed as told above."""
    path = data or ROOT / "recipes" / "data" / "tweets.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines() if line]
    draw = random.Random(SEED)
    if data is not None:
        draw.shuffle(texts)
        return (texts * (count // len(texts) + 1))[:count]
    return [" ".join(draw.choices(texts, k=draw.choices((1, 2, 4), (6, 3, 1))[0])) for _ in range(count)]


def lesson(texts: list[str]) -> Lesson:
    """The texts with labels drawn at random: speed does not ask what they are."""
    labels = np.random.default_rng(SEED).integers(0, len(LABELS), len(texts))
    return Lesson([str(n) for n in range(len(texts))], texts, np.eye(len(LABELS), dtype=np.float32)[labels], {})


def train_plainly(base: Base, taught: Lesson, work: Path) -> float:
    """rows/s of the Trainer as its documentation's first example has it."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    tokenizer, model = load_tokenizer(base), load_classifier(base, LABELS)
    encoded = tokenizer(taught.texts, truncation=True, padding="max_length", max_length=MAX_LENGTH)
    rows = [
        {name: encoded[name][place] for name in encoded} | {"labels": int(label)}
        for place, label in enumerate(taught.answers())
    ]
    arguments = TrainingArguments(
        output_dir=str(work), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=5e-5, seed=SEED,
        use_cpu=find_machine().device == "cpu", save_strategy="no", report_to="none", disable_tqdm=True,
        dataloader_pin_memory=False, log_level="error",
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return len(rows) / seconds_of(trainer)


def train_ours(base: Base, taught: Lesson, work: Path, machine: Machine, folder: Path) -> float:
    """rows/s of ClassifierTrainer; leaves the model in `folder`."""
    from finetune.classifier_trainer import ClassifierTrainer, examples

    student = ClassifierStudent(kind="classifier", base="minilm", epochs=1, batch_size=BATCH, max_length=MAX_LENGTH)
    none = Lesson([], [], np.zeros((0, len(LABELS)), dtype=np.float32), {})
    course = Course("speed", student, LABELS, SEED, base, taught, none, machine, "speed", "ours")
    tokenizer, model = load_tokenizer(base), load_classifier(base, LABELS)
    trainer = ClassifierTrainer(course, model, tokenizer, examples(tokenizer, taught, MAX_LENGTH)[0], [], work)
    trainer.args.save_strategy = "no"
    rate = len(taught) / seconds_of(trainer)
    model.to("cpu").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return rate


def answer_ways(folder: Path, machine: Machine) -> dict[str, Callable[[list[str]], np.ndarray]]:
    """The three ways to answer: texts -> probabilities in the order of LABELS."""
    from transformers import pipeline

    device = {"cpu": "cpu", "cuda": "cuda:0", "mps": "mps"}[machine.device]
    classify = pipeline("text-classification", model=str(folder), top_k=None, device=device)
    student = load_student(folder, MAX_LENGTH, machine)

    def plainly(texts: list[str], batch_size: int) -> np.ndarray:
        answers = classify(texts, truncation=True, max_length=MAX_LENGTH, batch_size=batch_size)
        scores = [{one["label"]: one["score"] for one in answer} for answer in answers]
        return np.array([[score[label] for label in LABELS] for score in scores])

    return {
        "pipeline": lambda texts: plainly(texts, 1),
        "pipeline_batch_32": lambda texts: plainly(texts, 32),
        "ours": lambda texts: student.predict(texts),
    }


def measure(texts: list[str], rounds: int) -> dict[str, Any]:
    """All figures, by turns."""
    base, machine, taught = Base("minilm", str(minilm_folder()), None, None), find_machine(), lesson(texts)
    train: dict[str, list[float]] = {"plain": [], "ours": []}
    answer: dict[str, list[float]] = {"pipeline": [], "pipeline_batch_32": [], "ours": []}
    apart = 0.0
    with tempfile.TemporaryDirectory() as scratch, quiet():
        folder, work = Path(scratch) / "model", Path(scratch) / "work"
        for number in range(rounds):
            train["plain"].append(train_plainly(base, taught, work))
            train["ours"].append(train_ours(base, taught, work, machine, folder))
            ways = answer_ways(folder, machine)
            said = {}
            for name, way in ways.items():
                way(texts[:16])
                started = time.perf_counter()
                said[name] = way(texts)
                answer[name].append(len(texts) / (time.perf_counter() - started))
            apart = max(apart, float(np.abs(said["ours"] - said["pipeline"]).max()))
            say(f"round {number + 1} of {rounds}: rows/s {json.dumps({'train': train, 'answer': answer})}")
    lengths = [len(one["input_ids"]) for one in encode(load_tokenizer(base), texts, MAX_LENGTH)[0]]
    best = [max(pair) for pair in zip(answer["pipeline"], answer["pipeline_batch_32"], strict=True)]
    by_round = {
        "training": [ours / plain for ours, plain in zip(train["ours"], train["plain"], strict=True)],
        "answering": [ours / plain for ours, plain in zip(answer["ours"], best, strict=True)],
    }
    ratios = {name: median(each) for name, each in by_round.items()}
    return {
        "bench": "classifier_speed",
        "machine": machine.about,
        "texts": {"count": len(texts), "mean_tokens": round(float(np.mean(lengths)), 1), "longest": max(lengths)},
        "train_rows_per_second": {name: round(median(rates), 1) for name, rates in train.items()},
        "answer_rows_per_second": {name: round(median(rates), 1) for name, rates in answer.items()},
        "largest_probability_difference": round(apart, 4),
        "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "ratios_by_round": {name: [round(ratio, 2) for ratio in each] for name, each in by_round.items()},
        "goals": GOALS,
        "met": all(ratios[name] >= goal for name, goal in GOALS.items()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Rows/s of the classifier student beside the plain way.")
    parser.add_argument("--data", type=Path, help="JSONL file with a column `text`")
    parser.add_argument("--rows", type=int, default=320, help="texts to train on and to answer")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    result = measure(read_texts(args.data, args.rows), args.rounds)
    path = ROOT / "bench" / "results" / "classifier_speed.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

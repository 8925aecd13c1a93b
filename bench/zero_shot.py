#!/usr/bin/env python3
"""How quick zero-shot distillation is, beside transformers' pipeline and a plain Trainer, in one run.

    python bench/zero_shot.py [--texts 160] [--rows 320] [--rounds 3]

Labelling: pipeline("zero-shot-classification") with batch_size 1 and 32 (the better of the two counts) against the
teacher of a recipe (synth/zero_shot.py), on the same texts, labels, hypothesis and weights, and how far the
probabilities are apart. The model is DeBERTa-v2 as mDeBERTa-v3-base is, made in code with random weights: the work is
the same, the labels mean nothing. It is scaled down: 6 layers of 384 in place of 12 of 768, a vocabulary of 30,522 in
place of 251,000, MiniLM's tokenizer. Twice: in the precision that the machine is quick in (what `precision: auto`
takes), which is the ratio that counts, and in float32, where the probabilities must be the pipeline's.

Student training and prediction: as in bench/classifier_speed.py (its functions), MiniLM in place of distilbert-base-
multilingual-cased, a plain Trainer that pads all texts to 128 tokens, and pipeline("text-classification").

The ways take turns in each round; a ratio is the median over the rounds. Texts: the sample reviews in ten languages,
six in ten as they are, three in ten two in a row, one in ten four. Goals: labelling >= 2x, training >= 2x, prediction
>= 3x.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from classifier_speed import MAX_LENGTH, answer_ways, lesson, train_ours, train_plainly

from finetune.bases import Base, minilm_folder
from finetune.hardware import Machine, find_machine
from finetune.silence import quiet
from recipes.console import say
from recipes.schema import Recipe
from synth.labelling import Scorer
from synth.tasks.scores import probabilities, raw_scores
from synth.zero_shot import open_nli

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("negative", "neutral", "positive")
HYPOTHESIS = "The sentiment of this text is {}."
LAYERS, WIDTH = 6, 384
GOALS = {"labelling": 2.0, "training": 2.0, "prediction": 3.0}
SEED = 42


def read_texts(count: int) -> list[str]:
    """`count` texts of unequal length."""
    path = ROOT / "recipes" / "data" / "reviews-ten-languages.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    draw = random.Random(SEED)
    return [" ".join(draw.choices(texts, k=draw.choices((1, 2, 4), (6, 3, 1))[0])) for _ in range(count)]


def make_model(folder: Path) -> Path:
    """DeBERTa-v2 as mDeBERTa-v3-base-mnli-xnli is, but smaller, with logits that tell texts apart."""
    import torch
    from transformers import AutoTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(str(minilm_folder()))
    tokenizer.model_max_length = 512
    classes = {0: "entailment", 1: "neutral", 2: "contradiction"}
    torch.manual_seed(SEED)
    config = DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=WIDTH // 64,
        intermediate_size=4 * WIDTH, max_position_embeddings=512, relative_attention=True, position_buckets=256,
        pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", share_att_key=True, position_biased_input=False,
        type_vocab_size=0, initializer_range=0.05, id2label=classes,
        label2id={name: at for at, name in classes.items()}, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def open_teacher(folder: Path, machine: Machine) -> tuple[Recipe, Scorer]:
    """The teacher as `python -m synth` opens it."""
    recipe = Recipe.model_validate(
        {
            "name": "speed", "task": "classify", "labels": LABELS, "source": {"path": "none.jsonl", "text": "text"},
            "teacher": {"provider": "zero_shot", "model": str(folder), "hypothesis": HYPOTHESIS, "max_length": 512},
            "students": {"s": {"kind": "classifier", "base": "minilm"}},
        }
    )  # fmt: skip
    return recipe, open_nli(recipe, machine)


def label_ours(recipe: Recipe, scorer: Scorer, texts: list[str]) -> np.ndarray:
    """Probabilities of LABELS, (texts, labels)."""
    teacher, found = recipe.local_teacher(), np.zeros((len(texts), len(LABELS)))
    for batch in scorer.score(texts):
        for place, scores in batch:
            raw = raw_scores(teacher, scores.figures, LABELS)
            found[place] = probabilities(raw, [0.0] * len(LABELS), teacher.divisor, apart=False)
    return found


def label_plainly(classify: Any, texts: list[str], batch_size: int) -> np.ndarray:
    """The same by transformers' pipeline."""
    answers = classify(texts, candidate_labels=list(LABELS), hypothesis_template=HYPOTHESIS, batch_size=batch_size)
    scores = [dict(zip(one["labels"], one["scores"], strict=True)) for one in answers]
    return np.array([[score[label] for label in LABELS] for score in scores])


def measure_labelling(texts: list[str], rounds: int, folder: Path) -> dict[str, Any]:
    """Texts/s of each way, by turns, and how far the probabilities are apart."""
    from transformers import pipeline

    make_model(folder)
    quick, exact = find_machine(), find_machine("fp32")
    device = {"cpu": "cpu", "cuda": "cuda:0", "mps": "mps"}[quick.device]
    classify = pipeline("zero-shot-classification", model=str(folder), device=device)
    ours = {"ours": open_teacher(folder, quick), "ours_fp32": open_teacher(folder, exact)}
    ways = {
        "pipeline": lambda some: label_plainly(classify, some, 1),
        "pipeline_batch_32": lambda some: label_plainly(classify, some, 32),
        "ours": lambda some: label_ours(*ours["ours"], some),
        "ours_fp32": lambda some: label_ours(*ours["ours_fp32"], some),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    said = {}
    for way in ways.values():
        way(texts[:16])
    for number in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            said[name] = way(texts)
            rates[name].append(len(texts) / (time.perf_counter() - started))
        say(f"labelling, round {number + 1} of {rounds}: texts/s {json.dumps(rates)}")
    apart = {name: float(np.abs(said[name] - said["pipeline"]).max()) for name in ("ours", "ours_fp32")}
    return {"rates": rates, "apart": apart, "spread": float(said["pipeline"].std(axis=0).max()), "machine": quick.about}


def measure_student(texts: list[str], rounds: int, folder: Path, work: Path) -> dict[str, dict[str, list[float]]]:
    """rows/s of training and of prediction, by turns."""
    base, machine, taught = Base("minilm", str(minilm_folder()), None, None), find_machine(), lesson(texts)
    train: dict[str, list[float]] = {"plain": [], "ours": []}
    answer: dict[str, list[float]] = {"pipeline": [], "pipeline_batch_32": [], "ours": []}
    for number in range(rounds):
        train["plain"].append(train_plainly(base, taught, work))
        train["ours"].append(train_ours(base, taught, work, machine, folder))
        for name, way in answer_ways(folder, machine).items():
            way(texts[:16])
            started = time.perf_counter()
            way(texts)
            answer[name].append(len(texts) / (time.perf_counter() - started))
        say(f"student, round {number + 1} of {rounds}: rows/s {json.dumps({'train': train, 'predict': answer})}")
    return {"training": train, "prediction": answer}


def by_round(rates: dict[str, list[float]], plain: tuple[str, ...], ours: str = "ours") -> list[float]:
    """Ours over the best of the plain ways, of each round."""
    best = [max(turn) for turn in zip(*(rates[name] for name in plain), strict=True)]
    return [quick / slow for quick, slow in zip(rates[ours], best, strict=True)]


def result_of(labelled: dict[str, Any], student: dict[str, Any], texts: list[str], rows: list[str]) -> dict[str, Any]:
    both = ("pipeline", "pipeline_batch_32")
    ratios = {
        "labelling": by_round(labelled["rates"], both),
        "labelling_fp32": by_round(labelled["rates"], both, "ours_fp32"),
        "training": by_round(student["training"], ("plain",)),
        "prediction": by_round(student["prediction"], both),
    }
    middle = {name: round(median(each), 2) for name, each in ratios.items()}
    return {
        "bench": "zero_shot",
        "machine": labelled["machine"],
        "teacher": f"DeBERTa-v2, {LAYERS} layers of {WIDTH} (mDeBERTa-v3-base: 12 of 768), random weights, 3 labels",
        "student": f"MiniLM, 6 layers of 384 (distilbert-base-multilingual-cased: 6 of 768), max_length {MAX_LENGTH}",
        "texts": {"labelled": len(texts), "trained_and_predicted": len(rows)},
        "label_texts_per_second": {name: round(median(each), 1) for name, each in labelled["rates"].items()},
        "train_rows_per_second": {name: round(median(each), 1) for name, each in student["training"].items()},
        "predict_rows_per_second": {name: round(median(each), 1) for name, each in student["prediction"].items()},
        "largest_probability_difference": {name: float(f"{one:.2g}") for name, one in labelled["apart"].items()},
        "deviation_of_probabilities_over_texts": round(labelled["spread"], 4),
        "ratios": middle,
        "ratios_by_round": {name: [round(one, 2) for one in each] for name, each in ratios.items()},
        "goals": GOALS,
        "met": all(middle[name] >= goal for name, goal in GOALS.items()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Zero-shot distillation beside the plain way.")
    parser.add_argument("--texts", type=int, default=160, help="texts to label")
    parser.add_argument("--rows", type=int, default=320, help="texts to train on and to predict")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts, rows = read_texts(args.texts), read_texts(args.rows)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        folder = Path(scratch)
        labelled = measure_labelling(texts, args.rounds, folder / "nli")
        student = measure_student(rows, args.rounds, folder / "student", folder / "work")
    result = result_of(labelled, student, texts, rows)
    path = ROOT / "bench" / "results" / "zero_shot.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

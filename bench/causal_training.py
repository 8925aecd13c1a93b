#!/usr/bin/env python3
"""How quick a generative student trains, beside TRL's SFTTrainer as its documentation has it, in one run.

    python bench/causal_training.py [--data train.jsonl.gz] [--rows 256] [--rounds 5]

Rows: title -> description of the products in ../shared/data/products (or --data: .jsonl or .jsonl.gz with the columns
title and description), drawn at random, long ones and short ones, in the alpaca format. Model: a Llama made in code, 8
layers of width 256, small enough for a CPU, with a tokenizer trained on these products; its head is a seventh of it (of
an 8B Llama's it is a fourteenth). Random weights, for speed does not ask what they are.

TRL: SFTTrainer with prompt / completion rows and SFTConfig's defaults (8 rows a step in random order, padded to the
longest; bf16, gradient checkpointing, loss in chunks on the completion alone). Ours: the recipe's defaults (8 rows a
step, packed), but for the optimizer, which is AdamW on both sides. Twice: all weights of the model trained, and a LoRA
of rank 16 on it in NF4, with the same settings of peft and bitsandbytes. tokens/s: tokens of rows, padding not counted,
from the first step's begin to the last one's end.

The ways take turns in each round, each training in a process of its own: how threads wait for each other is settled
when torch is imported, and ours is not TRL's. A ratio is the median over the rounds; on a machine where something else
is at work it says nothing. Goal: >= 2x for each. A CPU and a small model: the ratio on a GPU may be another.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

if "trl" in sys.argv:
    import torch  # noqa: F401 - before finetune says how threads are to wait

import numpy as np
from clock import seconds_of

from finetune.bases import Base
from finetune.causal_lessons import CausalLesson, encode_rows
from finetune.causal_model import load_causal_tokenizer
from finetune.course import CausalCourse
from finetune.formats import Renderer
from finetune.hardware import find_machine
from finetune.scratch import make_model, make_tokenizer
from finetune.silence import quiet
from recipes.console import say
from recipes.rows import ResponseRow
from recipes.students import CausalStudent

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = ROOT.parent / "shared" / "data" / "products" / "train.jsonl.gz"
MAX_LENGTH, GOAL = 1024, 2.0
SHAPE = {"vocabulary": 4096, "hidden": 256, "intermediate": 768, "layers": 8, "heads": 4, "kv_heads": 2}


def read_products(path: Path) -> list[ResponseRow]:
    """Products with a title and a description."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [json.loads(line) for line in content.decode().splitlines()]
    products = [one for one in lines if one["title"].strip() and one["description"].strip()]
    return [
        ResponseRow(id=str(n), split="train", group=str(n), question=one["title"], response=one["description"])
        for n, one in enumerate(products)
    ]


def student(nf4: bool) -> CausalStudent:
    """The student: what the recipe leaves open has its defaults."""
    if nf4:
        return CausalStudent(
            kind="causal", base="made", format="alpaca", max_length=MAX_LENGTH, epochs=1, optimizer="adamw"
        )
    return CausalStudent(
        kind="causal", base="scratch", format="alpaca", max_length=MAX_LENGTH, epochs=1, quantization="none", lora=None,
        scratch=SHAPE, optimizer="adamw",
    )  # fmt: skip


def load(course: CausalCourse) -> Any:
    """The model that both ways train, before any adapter."""
    from finetune.causal_model import load_causal

    if course.student.lora is None:
        return make_model(course.student, course.tokenizer, course.seed)
    return load_causal(course.base, course.machine, nf4=True)


def train_trl(course: CausalCourse, rows: list[ResponseRow], work: Path) -> float:
    """tokens/s of TRL by its defaults."""
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    renderer = Renderer(course.student, course.tokenizer)
    texts = [renderer.render(row) for row in rows]
    bos = course.tokenizer.bos_token
    data = Dataset.from_list(
        [{"prompt": one.prompt.removeprefix(bos), "completion": one.completion} for one in texts]  # TRL adds its own
    )
    lora = course.student.lora
    config = None
    if lora is not None:
        config = LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), task_type="CAUSAL_LM"
        )
    arguments = SFTConfig(
        output_dir=str(work), num_train_epochs=1, save_strategy="no", report_to="none", disable_tqdm=True,
        use_cpu=course.machine.device == "cpu", dataloader_pin_memory=False, log_level="error",
    )  # fmt: skip
    trainer = SFTTrainer(
        model=load(course), args=arguments, train_dataset=data, processing_class=course.tokenizer, peft_config=config
    )
    trainer.remove_callback(PrinterCallback)
    return sum(len(row["input_ids"]) for row in trainer.train_dataset) / seconds_of(trainer)


def train_ours(course: CausalCourse, rows: list[ResponseRow], work: Path) -> float:
    """tokens/s of CausalTrainer."""
    from finetune.causal import make_batching
    from finetune.causal_model import add_lora
    from finetune.causal_plan import plan_training
    from finetune.causal_trainer import CausalTrainer

    plan, model = plan_training(course), load(course)
    if course.student.lora is not None:
        model = add_lora(course.base, model, course.student.lora)
    trainer = CausalTrainer(course, model, make_batching(course, model, plan), plan, work)
    trainer.marks.steps = frozenset()  # no checkpoints: the other way writes none
    trainer.args.save_strategy = "no"
    return sum(len(row.input_ids) for row in course.training.rows) / seconds_of(trainer)


KINDS = ("all_weights", "nf4_lora")
WAYS: dict[str, Callable[[CausalCourse, list[ResponseRow], Path], float]] = {"trl": train_trl, "ours": train_ours}


def make_base(products: list[ResponseRow], folder: Path) -> int:
    """Write the tokenizer and the model to be adapted; return how many weights it has."""
    tokenizer = make_tokenizer(student(False), products)
    tokenizer.save_pretrained(folder)
    model = make_model(student(False), tokenizer, 0)
    model.save_pretrained(folder)
    return model.num_parameters()


def rows_of(products: list[ResponseRow], count: int, tokenizer: Any) -> tuple[list[ResponseRow], CausalLesson]:
    """The rows that are trained on, as they are and as tokens."""
    rows = random.Random(0).sample(products, count)
    lesson = encode_rows(Renderer(student(False), tokenizer), rows, MAX_LENGTH, "train", "speed")
    return [row for row in rows if row.id in set(lesson.ids)], lesson


def one(way: str, kind: str, products: list[ResponseRow], count: int, folder: Path) -> float:
    """tokens/s of one training."""
    base = Base("made", str(folder), None, None)
    with quiet(), tempfile.TemporaryDirectory() as work:
        tokenizer = load_causal_tokenizer(base)
        rows, lesson = rows_of(products, count, tokenizer)
        none, machine = CausalLesson([], [], []), find_machine()
        course = CausalCourse("speed", student(kind == "nf4_lora"), 0, base, tokenizer, lesson, none, machine, "", kind)
        return WAYS[way](course, rows, Path(work) / "students" / "speed" / "checkpoints" / way)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures, by turns."""
    products = read_products(args.data)
    speeds: dict[str, dict[str, list[float]]] = {kind: {way: [] for way in WAYS} for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        parameters = make_base(products, Path(folder))
        _, lesson = rows_of(products, args.rows, load_causal_tokenizer(Base("made", folder, None, None)))
        for number in range(args.rounds):
            for kind, ways in speeds.items():
                for way, found in ways.items():
                    command = [sys.executable, __file__, "--data", str(args.data), "--rows", str(args.rows)]
                    command += ["--one", way, kind, folder]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    found.append(float(done.stdout.splitlines()[-1]))
            say(f"round {number + 1} of {args.rounds}: tokens/s {json.dumps(speeds)}")
    ratios = {
        kind: [ours / trl for ours, trl in zip(ways["ours"], ways["trl"], strict=True)] for kind, ways in speeds.items()
    }
    lengths = [len(row.input_ids) for row in lesson.rows]
    return {
        "bench": "causal_training",
        "machine": find_machine().about,
        "model": SHAPE | {"parameters": parameters},
        "rows": {"count": len(lengths), "mean_tokens": round(float(np.mean(lengths)), 1), "longest": max(lengths)},
        "tokens_per_second": {kind: {way: round(median(all_), 1) for way, all_ in ways.items()}
                              for kind, ways in speeds.items()},
        "ratios": {kind: round(median(each), 2) for kind, each in ratios.items()},
        "ratios_by_round": {kind: [round(one, 2) for one in each] for kind, each in ratios.items()},
        "goal": GOAL,
        "met": all(median(each) >= GOAL for each in ratios.values()),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="tokens/s of a generative student beside TRL's defaults.")
    parser.add_argument("--data", type=Path, default=PRODUCTS, help="JSONL file with columns title and description")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        way, kind, folder = args.one
        print(one(way, kind, read_products(args.data), args.rows, Path(folder)))
        return 0
    result = measure(args)
    path = ROOT / "bench" / "results" / "causal_training.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

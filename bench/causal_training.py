#!/usr/bin/env python3
"""How quick a generative student trains, beside TRL's SFTTrainer as its documentation has it, in one run.

    python bench/causal_training.py [--data train.jsonl.gz] [--rows 256] [--rounds 3]

Rows: title -> description of the products in ../shared/data/products (or --data: .jsonl or .jsonl.gz with the columns
title and description), drawn at random, long ones and short ones, in the alpaca format. Model: a Llama made in code, 8
layers of width 256, small enough for a CPU, with a tokenizer trained on these products; its head is a seventh of it (of
an 8B Llama's it is a fourteenth). Random weights, for speed does not ask what they are.

TRL: SFTTrainer with prompt / completion rows and SFTConfig's defaults (8 rows a step in random order, padded to the
longest; bf16, gradient checkpointing, loss in chunks on the completion alone). Ours: the recipe's defaults (8 rows a
step, packed), but for the optimizer, which is AdamW on both sides. Twice: all weights of the model trained, and a LoRA
of rank 16 on it in NF4, with the same settings of peft and bitsandbytes. tokens/s: tokens of rows, padding not counted,
from the first step's begin to the last one's end.

The ways take turns in each round; a ratio is the median over the rounds. Goal: >= 2x for each. A CPU and a small model:
the ratio on a GPU may be another.
"""

from __future__ import annotations

import argparse
import gzip
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

from finetune.bases import Base
from finetune.causal_lessons import CausalLesson, encode_rows
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


def timed(trainer: Any, tokens: int) -> float:
    """Train, and return tokens/s."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        first = last = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.first = self.first or time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.perf_counter()

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return tokens / (clock.last - clock.first)


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
    return timed(trainer, sum(len(row["input_ids"]) for row in trainer.train_dataset))


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
    return timed(trainer, sum(len(row.input_ids) for row in course.training.rows))


WAYS: dict[str, Callable[[CausalCourse, list[ResponseRow], Path], float]] = {"trl": train_trl, "ours": train_ours}


def measure(products: list[ResponseRow], count: int, rounds: int) -> dict[str, Any]:
    """All figures, by turns."""
    machine, none = find_machine(), CausalLesson([], [], [])
    speeds: dict[str, dict[str, list[float]]] = {
        kind: {way: [] for way in WAYS} for kind in ("all_weights", "nf4_lora")
    }
    with tempfile.TemporaryDirectory() as scratch, quiet():
        tokenizer = make_tokenizer(student(False), products)
        rows = random.Random(0).sample(products, count)
        renderer = Renderer(student(False), tokenizer)
        lesson = encode_rows(renderer, rows, MAX_LENGTH, "train", "speed")
        kept = [row for row in rows if row.id in set(lesson.ids)]
        folder = Path(scratch) / "base"
        model = make_model(student(False), tokenizer, 0)
        model.save_pretrained(folder)
        for number in range(rounds):
            for kind, ways in speeds.items():
                taught = student(kind == "nf4_lora")
                course = CausalCourse(
                    "speed",
                    taught,
                    0,
                    Base("made", str(folder), None, None),
                    tokenizer,
                    lesson,
                    none,
                    machine,
                    "",
                    kind,
                )
                for way, train in WAYS.items():
                    ways[way].append(train(course, kept, Path(scratch) / "a" / "b" / "c" / way))
            say(f"round {number + 1} of {rounds}: tokens/s {json.dumps(speeds)}")
    ratios = {
        kind: [ours / trl for ours, trl in zip(ways["ours"], ways["trl"], strict=True)] for kind, ways in speeds.items()
    }
    lengths = [len(row.input_ids) for row in lesson.rows]
    return {
        "bench": "causal_training",
        "machine": machine.about,
        "model": SHAPE | {"parameters": model.num_parameters()},
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
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    result = measure(read_products(args.data), args.rows, args.rounds)
    path = ROOT / "bench" / "results" / "causal_training.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

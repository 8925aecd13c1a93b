"""Rows of a generative task, a run folder with them, and recipes of tiny Llamas: what the tests of training use."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recipes.rows import ResponseRow, Split, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe

THINGS = ["kettle", "lamp", "radio", "mug", "spade", "kite", "stove", "clock"]
TRAITS = ["red", "tall", "quiet", "cheap", "heavy", "bright", "small"]
SHAPE = {"vocabulary": 384, "hidden": 32, "intermediate": 64, "layers": 2, "heads": 4, "kv_heads": 2}


def make_row(number: int, split: Split) -> ResponseRow:
    """One row; what is answered follows from what is asked, so that a loss can fall."""
    draw = random.Random(f"{split}{number}")
    thing, traits = draw.choice(THINGS), draw.sample(TRAITS, k=draw.randint(1, 5))
    title, description = f"{traits[0]} {thing}", f"A {thing} that is {' and '.join(traits)}."
    return ResponseRow(
        id=f"{split}-{number}", split=split, group=f"{split}{number}", question=f"Is there a {title}?",
        reasoning=f"They ask for a {thing}. It must be {traits[0]}.", response=description,
        fields={"title": title, "description": description},
    )  # fmt: skip


def make_run(folder: Path, train: int = 48, validation: int = 12) -> RunFolder:
    """A run folder whose rows stage is done."""
    run = RunFolder(folder)
    for split, count in (("train", train), ("validation", validation), ("test", 4)):
        write_rows(run.rows / f"{split}.jsonl", [make_row(number, split) for number in range(count)])
    return run


def make_recipe(**students: dict[str, Any]) -> Recipe:
    """A recipe whose students are given by what differs from a tiny one from scratch."""
    small = {
        "kind": "causal", "base": "scratch", "format": "alpaca", "instruction": "Describe the product.",
        "quantization": "none", "lora": None, "max_length": 256, "learning_rate": 5e-3, "batch_size": 8, "epochs": 2,
        "warmup": 2, "scratch": SHAPE, "precision": "fp32", "optimizer": "adamw",
    }  # fmt: skip
    return Recipe.model_validate(
        {
            "name": "tiny",
            "task": "reasoning",
            "source": {"path": "rows.jsonl", "fields": {"title": "title", "description": "description"}},
            "teacher": {"provider": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
            "synthesis": {"prompt": "product-reasoning"},
            "students": {name: small | student for name, student in students.items()},
        }
    )

"""A recipe with a local teacher on disk, and what its tests share."""

from __future__ import annotations

import json
from pathlib import Path

from recipes.load import load_recipe
from recipes.rows import LabelRow, read_rows
from recipes.runs import Manifest, RunFolder
from recipes.schema import Recipe
from synth.build import build_dataset

RECIPE = """\
name: small
task: classify
labels: [negative, neutral, positive]
source: {path: rows.jsonl, text: text, label: label, id: id, test: 8, validation: 0.2}
teacher: {provider: zero_shot, model: ./nli, hypothesis: "The sentiment of this text is {}.", precision: fp32}
students: {s: {kind: classifier, base: minilm, targets: soft}}
"""
LABELS = ("negative", "neutral", "positive")
THINGS = ("soup", "zip", "room", "book", "drill", "jacket", "film", "coffee", "table", "phone")
SAID = ("was lovely and warm", "broke on the second day", "stands near the window and is blue")


def write_local(folder: Path, rows: int = 30, recipe: str = RECIPE) -> Path:
    """The recipe and `rows` texts of unequal length."""
    (folder / "r.yaml").write_text(recipe, encoding="utf-8")
    lines = [
        {
            "id": f"r{n}",
            "text": f"The {THINGS[n % 10]} {SAID[n % 3]}" + f", number {n}" * (n % 5),
            "label": LABELS[n % 3],
        }
        for n in range(rows)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    return folder / "r.yaml"


def build(path: Path, *overrides: str) -> tuple[Recipe, RunFolder, Manifest]:
    """The recipe's rows, brought up to date."""
    recipe, run = load_recipe(path, list(overrides)), RunFolder(path.parent / "run")
    return recipe, run, build_dataset(recipe, run)


def all_rows(run: RunFolder) -> dict[str, LabelRow]:
    """Every row by its id."""
    return {
        row.id: row
        for split in ("train", "validation", "test")
        for row in read_rows(run.rows / f"{split}.jsonl", LabelRow)
    }

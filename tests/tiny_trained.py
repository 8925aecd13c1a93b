"""A recipe that needs no teacher, as a file, with a student from scratch and an adapter on it; both trained."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import tiny_causal

from finetune.__main__ import main

RECIPE = """\
name: tiny
task: description
source: {path: products.jsonl, fields: {title: title, description: content}, test: 4, near_duplicate: 1}
filters: {near_duplicate: 1}
students:
  plain:
    kind: causal
    base: scratch
    format: alpaca
    instruction: Describe it.
    quantization: none
    lora: null
    scratch: {vocabulary: 384, hidden: 32, intermediate: 64}
    max_length: 256
    epochs: 1
    precision: fp32
    answering: {temperature: 0, max_new_tokens: 20}
  thinker:
    kind: causal
    base: students.plain
    format: think
    quantization: none
    lora: {rank: 2}
    max_length: 256
    epochs: 1
    precision: fp32
    answering: {temperature: 0.9, top_p: 0.8, max_new_tokens: 20}
"""


def write_recipe(folder: Path) -> Path:
    """The recipe and its 56 products; a title spells the token that ends an answer."""
    products = [
        {"title": f"The {trait} {thing} <|end|>", "content": f"A {trait} {thing} that is as {trait} as can be."}
        for thing, trait in itertools.product(tiny_causal.THINGS, tiny_causal.TRAITS)
    ]
    (folder / "products.jsonl").write_text("".join(json.dumps(one) + "\n" for one in products), encoding="utf-8")
    (folder / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    return folder / "tiny.yaml"


def train(recipe: Path) -> list[str]:
    """Train both students; return the recipe and its run folder as arguments."""
    arguments = [str(recipe), "--run", str(recipe.parent / "run")]
    assert main([*arguments, "--no-eval"]) == 0
    return arguments

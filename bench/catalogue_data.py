"""The product data of ../shared/data as one catalogue, and larger ones made of its parts. For bench/retrieval*.py."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
Row = dict[str, Any]
Relevance = dict[str, dict[str, int]]
"""query -> id -> how relevant, 1 to 4."""


def load(name: str) -> list[Row]:
    """Train and test rows of a data set."""
    rows: list[Row] = []
    for split in ("train", "test"):
        with gzip.open(DATA / name / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows += map(json.loads, file)
    return rows


def catalogue() -> tuple[list[Row], Relevance]:
    """Every distinct product of both data sets, shuffled; and the judged queries of search_relevance."""
    products: dict[tuple[str, str], Row] = {}
    for row in load("products"):
        text = (row["title"], row["description"] or "")
        products.setdefault(text, {"id": f"p-{row['id']}", "brand": row["brand"] or "", "source": row["source"]})
    judged: Relevance = defaultdict(dict)
    for row in load("search_relevance"):
        text = (row["title"], row["description"] or "")
        known = products.setdefault(text, {"id": f"s-{row['id']}", "brand": "", "source": "search"})
        judged[row["query"]][known["id"]] = row["relevance"]
    rows = [known | {"title": title, "description": description} for (title, description), known in products.items()]
    random.Random(0).shuffle(rows)
    return rows, dict(judged)


def recombined(rows: list[Row], size: int, seed: int = 1) -> list[Row]:
    """`size` products: the given ones, then ones made of a title's two thirds and halves of descriptions of two of one
    source (`parents`). Each gets a price (log-normal, median 20) and one of 200 shops.
    """
    draw = random.Random(seed)
    kin: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        kin[row["source"]].append(row)
    made = [dict(row) for row in rows[:size]]
    for number in range(size - len(made)):
        one = draw.choice(rows)
        two = draw.choice(kin[one["source"]])
        title, other = one["title"].split(), two["title"].split()
        text, more = one["description"].split(), two["description"].split()
        made.append({
            "id": f"x-{number}", "brand": one["brand"], "source": one["source"], "parents": (one["id"], two["id"]),
            "title": " ".join([*title[: max(1, len(title) * 2 // 3)], *other[len(other) // 2 :], str(number)]),
            "description": " ".join([*text[: len(text) // 2], *more[len(more) // 2 :]]),
        })  # fmt: skip
    for row in made:
        row["price"], row["shop"] = round(draw.lognormvariate(3, 1), 2), f"shop{draw.randrange(200):03}"
    return made


def vectors_for(made: list[Row], real: dict[str, np.ndarray], seed: int = 3) -> np.ndarray:
    """A vector for each product: its own where it is a given one, else its parents' mixed, with some noise."""
    draw = np.random.default_rng(seed)
    found = np.empty((len(made), len(next(iter(real.values())))), np.float32)
    for place, row in enumerate(made):
        if "parents" in row:
            one, two = row["parents"]
            found[place] = 0.75 * real[one] + 0.4 * real[two] + draw.normal(0, 0.012, found.shape[1])
        else:
            found[place] = real[row["id"]]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write_rows(path: Path, rows: list[Row]) -> None:
    """As JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


RECIPE = """
name: bench
task: description
source: {path: products.jsonl, id: id, fields: {title: title, description: description}, test: 0, validation: 0}
students: {s: {kind: causal, base: scratch, lora: null, quantization: none, format: alpaca}}
retrieval:
  catalogue:
    path: products.jsonl
    id: id
    fields: {title: title, description: description}
    metadata: {price: price, shop: shop, source: source}
  embedding: {model: minilm}
"""

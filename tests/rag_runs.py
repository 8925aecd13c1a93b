"""A small catalogue with a recipe, and an embedder that needs no model."""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.documents import Value
from rag.index import Index
from rag.index_folder import IndexFolder
from rag.ledger import open_ledger
from rag.vectors import VectorStore, open_vectors
from rag.where import Condition, Group
from recipes.load import load_recipe
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import embedding_fingerprint

RECIPE = """\
name: shop
task: description
source: {path: products.jsonl, id: id, fields: {title: title, description: description}, test: 0, validation: 0}
students: {s: {kind: causal, base: scratch, lora: null, quantization: none, format: alpaca}}
retrieval:
  catalogue:
    path: products.jsonl
    id: id
    fields: {title: title, description: description}
    metadata: {price: price, brand: brand, stock: stock}
    link: link
  embedding: {model: minilm}
"""
WIDTH = 32


def product(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the catalogue."""
    row = {
        "id": f"p{number}",
        "title": f"Lamp model {number}",
        "description": f"A lamp of {number} watts for desks. Colour {('red', 'green', 'blue')[number % 3]}.",
        "price": number + 0.5,
        "brand": ("Acme", "Borg", "Cole")[number % 3],
        "stock": number % 2 == 0,
        "link": f"https://shop.example/{number}",
    }
    return row | changes


def write_catalogue(folder: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """The catalogue's file, anew."""
    path = folder / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def shop(folder: Path, rows: Iterable[dict[str, Any]], *overrides: str, text: str = RECIPE) -> Recipe:
    """The recipe, with its catalogue in `folder`."""
    write_catalogue(folder, rows)
    (folder / "shop.yaml").write_text(text, encoding="utf-8")
    return load_recipe(str(folder / "shop.yaml"), list(overrides))


class WordEmbedder:
    """A text's vector is the normalised sum of a random vector for each of its words. seen: texts embedded so far."""

    width, max_tokens = WIDTH, 254

    def __init__(self, recipe: Recipe) -> None:
        self.fingerprint = embedding_fingerprint(recipe)
        self.seen: list[str] = []

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return self.queries(texts)

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        found = np.stack([sum((_word(word) for word in re.findall(r"\w+", text.lower())), _word("")) for text in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]

    def count(self, text: str) -> int:
        return len(self.spans(text))


def _word(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=WIDTH)


def without_model(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    """Index with WordEmbedder; the list holds each one that was opened."""
    opened: list[WordEmbedder] = []

    def opening(recipe: Recipe) -> WordEmbedder:
        opened.append(WordEmbedder(recipe))
        return opened[-1]

    monkeypatch.setattr("rag.indexing_pass.open_embedder", opening)
    return opened


_ORDER = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


def matches(condition: Condition, metadata: Mapping[str, Value]) -> bool:
    """Whether a document holds, said plainly: what rag/columns.py does for all at once."""
    if isinstance(condition, Group):
        held = [matches(part, metadata) for part in condition.parts]
        return all(held) if condition.operator == "$and" else any(held)
    found = condition.name in metadata
    value = metadata.get(condition.name)
    if condition.operator in _ORDER:
        number = found and not isinstance(value, (str, bool))
        return number and _ORDER[condition.operator](value, condition.values[0])
    same = found and any(_kind(value) == _kind(other) and value == other for other in condition.values)
    return same == (condition.operator in ("$eq", "$in"))


def _kind(value: Value | None) -> str:
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def titles(index: Index, recipe: Recipe, query: str, limit: int = 3) -> list[str]:
    """What a search by meaning finds."""
    (hits,) = index.dense(WordEmbedder(recipe).queries([query]), limit)
    return [index.documents([hit.document])[hit.document].title for hit in hits]


def stores(recipe: Recipe, run: RunFolder) -> tuple[set[str], set[str]]:
    """Ids of the pieces in the ledger and in the vector store."""
    with open_ledger(IndexFolder(run).ledger) as ledger, current(run) as store:
        assert not ledger.in_debt()
        return set(ledger.places()[0]), set(store.ids())


def current(run: RunFolder) -> VectorStore:
    """The vector store that is read from."""
    folder = IndexFolder(run)
    with open_ledger(folder.ledger) as ledger:
        return open_vectors(folder.generation(ledger.fact("generation")), None, ledger.fact("collection"))

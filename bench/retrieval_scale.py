#!/usr/bin/env python3
"""How the index grows from 10,000 to 100,000 products: building, searching, filtering, memory.

    python bench/retrieval_scale.py              # about six minutes on two cores, most of it Chroma's inserts

Products are recombined from ../shared/data; vectors are mixed from 2,000 real ones, so that nothing here is the time of
an embedding. Searches are both lists (50 candidates each) and their fusion, with the 261 queries of search_relevance,
in a process that has no torch. Prints one JSON object as its last line, writes bench/results/retrieval_scale.json and a
chart beside it, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.catalogue_data import RECIPE, ROOT, catalogue, recombined, vectors_for, write_rows

FILTERS = {
    "one shop of 200": {"shop": "shop007"},
    "price < 5 (8 %)": {"price": {"$lt": 5}},
    "price < 20 (half)": {"price": {"$lt": 20}},
    "not one shop": {"shop": {"$ne": "shop007"}},
}
GOAL = 60_000


def embed_some(scratch: Path) -> None:
    """Vectors of 2,000 real products and of the queries, made once."""
    from rag.embedder import open_embedder

    rows, judged = catalogue()
    rows = rows[:2_000]
    write_rows(scratch / "products.jsonl", [row | {"price": 1.0, "shop": "s"} for row in rows])
    (scratch / "bench.yaml").write_text(RECIPE, encoding="utf-8")
    embedder = open_embedder(recipe_of(scratch))
    np.save(scratch / "real.npy", embedder.documents([f"{row['title']}\n{row['description']}" for row in rows]))
    np.save(scratch / "queries.npy", embedder.queries(list(judged)))


def recipe_of(folder: Path) -> Any:
    from recipes.load import load_recipe

    return load_recipe(folder / "bench.yaml")


def run_of(folder: Path) -> Any:
    from recipes.runs import RunFolder

    return RunFolder(folder / "run")


class Given:
    """An embedder that has every vector already."""

    width, max_tokens, fingerprint = 384, 254, "given"

    def __init__(self, by_text: dict[str, np.ndarray]) -> None:
        self._by_text = by_text

    def documents(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._by_text[text] for text in texts])

    def spans(self, text: str) -> list[tuple[int, int]]:
        return []  # one piece each: cutting is not measured here


def build(scratch: Path, size: int) -> dict[str, float]:
    """Index `size` products, then the same again in another order. Seconds, without embedding."""
    from rag import indexing, indexing_pass

    rows, _ = catalogue()
    real = dict(zip((row["id"] for row in rows[:2_000]), np.load(scratch / "real.npy"), strict=True))
    made = recombined(rows[:2_000], size)
    folder = scratch / str(size)
    folder.mkdir()
    write_rows(folder / "products.jsonl", made)
    (folder / "bench.yaml").write_text(RECIPE, encoding="utf-8")
    from rag.catalogue import read_catalogue
    from rag.chunks import searched

    vectors = vectors_for(made, real)
    texts = [
        searched(document.title, document.body or document.title) for document in read_catalogue(recipe_of(folder))
    ]
    given = Given(dict(zip(texts, vectors, strict=True)))
    indexing_pass.open_embedder = lambda recipe: given  # type: ignore[assignment, return-value]
    indexing._set_threshold = lambda *_: None  # type: ignore[assignment]
    first = indexing.build_index(recipe_of(folder), run_of(folder))
    write_rows(folder / "products.jsonl", made[::-1])
    again = indexing.build_index(recipe_of(folder), run_of(folder))
    assert again.unchanged == size and again.embedded == 0
    made[0]["description"] += " And more."
    given._by_text[f"{made[0]['title']}\n{made[0]['description']}"] = vectors[0]
    write_rows(folder / "products.jsonl", made)
    one = indexing.build_index(recipe_of(folder), run_of(folder))
    return {
        "first_s": first.seconds, "first_docs_per_s": size / first.seconds, "unchanged_s": again.seconds,
        "unchanged_docs_per_s": size / again.seconds, "one_changed_s": one.seconds,
    }  # fmt: skip


def search(scratch: Path, size: int) -> dict[str, Any]:
    """Open the index in a process of its own and search it."""
    import psutil

    from rag.fusion import fuse
    from rag.index import open_index
    from rag.signals import rarity
    from rag.where import read_where

    queries = np.load(scratch / "queries.npy")
    words = list(catalogue()[1])
    recipe, run = recipe_of(scratch / str(size)), run_of(scratch / str(size))
    process = psutil.Process()
    begin = time.perf_counter()
    with open_index(recipe, run) as index:
        found: dict[str, Any] = {"open_s": time.perf_counter() - begin}

        def timed(where: Any) -> list[float]:
            condition = None if where is None else read_where(where, index.names)
            times = []
            for place, query in enumerate(words):
                start = time.perf_counter()
                (dense,) = index.dense(queries[place : place + 1], 50, condition)
                most = sum(rarity(len(index), count) for count in index.frequency(index.tokens(query)))
                ranked = fuse(dense, index.lexical(query, 50, condition), most)
                index.chunks([one.chunk for one in ranked[:4]])
                times.append((time.perf_counter() - start) * 1e3)
            return times

        timed(None)
        found["ms"] = _percentiles(timed(None))
        found["rss_mb"] = round(process.memory_info().rss / 2**20)
        found["filtered_ms"], found["filtered_recall"] = {}, {}
        for name, where in FILTERS.items():
            timed(where)
            found["filtered_ms"][name] = _percentiles(timed(where))
            found["filtered_recall"][name] = _against_exact(index, queries, where)
        found["rss_mb_after_filters"] = round(process.memory_info().rss / 2**20)
    assert "torch" not in sys.modules
    return found


def _against_exact(index: Any, queries: np.ndarray, where: Any) -> float:
    """The share of the 50 nearest under a filter that the search by meaning gives."""
    from rag.where import read_where

    condition = read_where(where, index.names)
    mask, shares = index._mask(condition), []
    for place in range(0, len(queries), 4):
        exact = {index._chunks[at] for at, _ in index._exact(queries[place], 50, mask)}
        got = {hit.chunk for hit in index.dense(queries[place : place + 1], 50, condition)[0]}
        shares.append(len(exact & got) / len(exact))
    return round(float(np.mean(shares)), 4)


def _percentiles(times: list[float]) -> dict[str, float]:
    return {name: round(float(np.percentile(times, share)), 2) for name, share in (("p50", 50), ("p95", 95))}


def draw_chart(sizes: dict[str, Any], path: Path) -> None:
    """Two small line charts, side by side, as SVG: p95 in ms, memory in MB."""
    numbers, rows = [int(size) for size in sizes], list(sizes.values())
    slowest = [max(one["p95"] for one in row["filtered_ms"].values()) for row in rows]
    times = {"plain": [row["ms"]["p95"] for row in rows], "filtered, worst": slowest}
    memory = {"open": [row["rss_mb"] for row in rows], "after filters": [row["rss_mb_after_filters"] for row in rows]}
    body = _panel(20, "p95 of a search, ms", numbers, times) + _panel(480, "memory, MB", numbers, memory)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 240" font-family="sans-serif" font-size="12">'
    path.write_text(f"{head}{body}</svg>\n", encoding="utf-8")


def _panel(left: int, title: str, numbers: list[int], series: dict[str, list[float]]) -> str:
    across = [left + number / max(numbers) * 280 for number in numbers]
    top = max(max(values) for values in series.values()) * 1.1
    parts = [f'<text x="{left}" y="20" font-weight="bold">{title}</text>']
    parts += [f'<line x1="{left}" y1="200" x2="{left + 290}" y2="200" stroke="#999"/>']
    parts += [
        f'<text x="{x:.0f}" y="222" text-anchor="middle">{number // 1000}k</text>'
        for x, number in zip(across, numbers, strict=True)
    ]
    for tint, (name, values) in zip(("#2458a6", "#b3541e"), series.items(), strict=True):
        down = [200 - value / top * 160 for value in values]
        points = " ".join(f"{x:.0f},{y:.0f}" for x, y in zip(across, down, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{tint}" stroke-width="2"/>')
        parts.append(
            f'<text x="{across[-1] + 6:.0f}" y="{down[-1] + 4:.0f}" fill="{tint}">{name} {values[-1]:g}</text>'
        )
    return "".join(parts)


def child(*words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 60_000, 100_000])
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "SCRATCH", "SIZE"))
    given = parser.parse_args()
    if given.child:
        what, scratch, size = given.child
        work = {"build": build, "search": search}
        answer = embed_some(Path(scratch)) if what == "embed" else work[what](Path(scratch), int(size))
        print(json.dumps(answer))
        return 0
    sizes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        child("--child", "embed", scratch, "0")
        for size in given.sizes:
            sizes[str(size)] = child("--child", "build", scratch, str(size)) | child(
                "--child", "search", scratch, str(size)
            )
            print(size, json.dumps(sizes[str(size)]), flush=True)
    found: dict[str, Any] = {"sizes": sizes}
    goal = sizes.get(str(GOAL))
    if goal is not None:
        found["goals"] = {
            "unchanged_at_20000_documents_a_second": min(one["unchanged_docs_per_s"] for one in sizes.values())
            >= 20_000,
            "p95_within_10_ms": goal["ms"]["p95"] <= 10,
            "p95_with_a_filter_within_25_ms": max(one["p95"] for one in goal["filtered_ms"].values()) <= 25,
            "within_650_mb": goal["rss_mb_after_filters"] <= 650,
        }
    results = ROOT / "bench" / "results"
    (results / "retrieval_scale.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw_chart(sizes, results / "retrieval_scale.svg")
    print(json.dumps(found))
    return 0 if all(found.get("goals", {"": False}).values()) else 1


if __name__ == "__main__":
    sys.exit(main())

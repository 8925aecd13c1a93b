#!/usr/bin/env python3
"""Kill -9 the indexing of 20,000 products fifty times. What was lost, do the stores agree, how soon is it open again?

    python bench/index_kills.py                  # about four minutes on two cores

Every life indexes another version of the catalogue (a tenth of the rows changed, a hundredth removed) and is killed at
a random moment. What it said was written must be there afterwards, in the ledger and in Chroma alike, and be found. The
vectors are made of the texts' hashes, so that lives are spent writing and not embedding. Prints one JSON object as its
last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
WIDTH = 384
RECIPE = """
name: kills
task: description
source: {path: products.jsonl, id: id, fields: {title: title, description: description}, test: 0, validation: 0}
students: {s: {kind: causal, base: scratch, lora: null, quantization: none, format: alpaca}}
retrieval:
  catalogue:
    {path: products.jsonl, id: id, fields: {title: title, description: description}, metadata: {price: price}}
  embedding: {model: minilm}
"""


class HashEmbedder:
    """A text's vector is drawn by its hash: the same text, the same vector."""

    width, max_tokens, fingerprint = WIDTH, 254, "hash"

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        found = np.stack([self._draw(text) for text in texts])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    queries = documents

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [(at, at + len(word)) for at, word in _words(text)]

    def _draw(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return np.random.Generator(np.random.PCG64(seed)).standard_normal(WIDTH)


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for word in text.split(" "):
        if word:
            yield at, word
        at += len(word) + 1


def row(number: int, version: int) -> dict[str, Any]:
    """A product as it is in one version of the catalogue: a tenth of them change from one to the next."""
    changed = version - (version - number) % 10
    text = f"Product number {number} in its edition {changed}, as good as any of its kind and a little better."
    return {"id": f"p{number}", "title": f"Product {number}", "description": text, "price": changed}


def write_version(folder: Path, version: int, rows: int) -> None:
    there = (row(number, version) for number in range(rows) if (number + version) % 100)
    text = "".join(json.dumps(one) + "\n" for one in there)
    (folder / "products.jsonl").write_text(text, encoding="utf-8")


def child(folder: Path) -> None:
    """One life: index, and say of documents that they are about to be written, and once they are."""
    from rag import indexing, indexing_pass
    from rag.ledger import Entry, Ledger

    write, remove = Ledger.write, Ledger.remove

    def written(self: Ledger, entries: Sequence[Entry]) -> None:
        print(json.dumps({entry.document.id: entry.digest for entry in entries}), flush=True)
        write(self, entries)
        print("done", flush=True)

    def removed(self: Ledger, ids: Sequence[str]) -> None:
        print(json.dumps(dict.fromkeys(ids)), flush=True)
        remove(self, ids)
        print("done", flush=True)

    Ledger.write, Ledger.remove = written, removed  # type: ignore[method-assign]
    indexing_pass.open_embedder = lambda recipe: HashEmbedder()  # type: ignore[assignment, return-value]
    indexing._set_threshold = lambda *_: None  # type: ignore[assignment]
    with run_of(folder).lock():
        indexing.build_index(recipe_of(folder), run_of(folder))


def recipe_of(folder: Path) -> Any:
    from recipes.load import load_recipe

    return load_recipe(folder / "kills.yaml")


def run_of(folder: Path) -> Any:
    from recipes.runs import RunFolder

    return RunFolder(folder / "run")


Digests = dict[str, "str | None"]


class Said(NamedTuple):
    """What a life said was written, and what it was about to write when it ended: either may have happened."""

    done: Digests
    open: Digests


def heard(lines: Sequence[str]) -> Said:
    """Lines of a child: what is written, each followed by `done`."""
    done: Digests = {}
    about: Digests = {}
    for line in lines:
        if line == "done":
            done, about = done | about, {}
        else:
            about = json.loads(line)
    return Said(done, about)


class Life:
    """A child that is killed: what it had said by then."""

    def __init__(self, folder: Path, seconds: float | None) -> None:
        command = [sys.executable, __file__, "--child", str(folder)]
        said = folder / "said.jsonl"
        with said.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
            if seconds is not None:
                while process.poll() is None and not said.stat().st_size:
                    time.sleep(0.005)
                time.sleep(seconds)
            self.killed = seconds is not None and process.poll() is None
            if self.killed:
                process.kill()
            self.error = process.communicate()[1].decode()
        self.said = heard(said.read_text(encoding="utf-8").split("\n")[:-1])  # the last may be cut


def look(work: Path, expected: Digests, said: Said) -> dict[str, Any]:
    """Open the index after a kill: seconds, what was lost, whether the stores agree, whether all is found.

    expected: what must be there, brought up to date.
    """
    from rag.index import open_index
    from rag.index_folder import IndexFolder
    from rag.ledger import open_ledger
    from rag.vectors import open_vectors

    recipe, run = recipe_of(work), run_of(work)
    begin = time.monotonic()
    with open_index(recipe, run) as index:
        seconds = time.monotonic() - begin
        some = random.Random(len(index)).sample(index._chunks, min(20, len(index)))
        chunks = index.chunks(some)
        vectors = HashEmbedder().documents([f"{one.title}\n{one.text}" for one in chunks.values()])
        found = [hits[0].chunk for hits in index.dense(vectors, 1)]
        not_found = sum(one != chunk for one, chunk in zip(found, chunks, strict=True))
    folder = IndexFolder(run)
    with open_ledger(folder.ledger) as ledger:
        current = folder.generation(ledger.fact("generation"))
    with open_ledger(folder.ledger) as ledger, open_vectors(current, None, ledger.fact("collection")) as store:
        expected |= said.done
        names = [*expected, *said.open]
        known = {name: digest for name, (digest, _) in ledger.state(names).items()}
        for name, digest in said.open.items():
            if known.get(name) == digest:
                expected[name] = digest  # it was written, but there was no time to say so
        lost = sum(known.get(name) != digest for name, digest in expected.items())
        agree = set(store.ids()) == set(ledger.places()[0])
        return {"seconds": seconds, "lost": lost, "agree": agree, "not_found": not_found, "rows": ledger.counts()[0]}


def second_writer(folder: Path) -> tuple[float, str, Said]:
    """Start `python -m rag index` beside one that runs: its seconds, what it says, and what the first wrote."""
    first = subprocess.Popen([sys.executable, __file__, "--child", str(folder)], stdout=subprocess.PIPE)
    assert first.stdout is not None
    lines = [first.stdout.readline()]
    begin = time.monotonic()
    command = [sys.executable, "-m", "rag", "index", str(folder / "kills.yaml"), "--run", str(folder / "run")]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begin
    lines += first.stdout.readlines()
    first.wait()
    said = heard([line.decode().rstrip("\n") for line in lines])
    return seconds, f"{second.returncode}: {second.stderr.strip()}", said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return 0
    draw = random.Random(given.seed)
    looks: list[dict[str, Any]] = []
    expected: Digests = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_version(folder, 0, given.rows)
        (folder / "kills.yaml").write_text(RECIPE, encoding="utf-8")
        version = killed = 0
        while killed < given.kills and len(looks) < given.kills * 2:
            life = Life(folder, draw.uniform(0, 2.0))
            killed += life.killed
            looks.append(look(folder, expected, life.said))
            print(len(looks), version, looks[-1], flush=True)
            if looks[-1]["rows"] > 0.95 * given.rows:  # else the first version is still coming in
                version += 1
                write_version(folder, version, given.rows)
        version += 10  # every row is another one
        write_version(folder, version, given.rows)
        refused_after, refusal, said = second_writer(folder)
        look(folder, expected, said)
        final = look(folder, expected, Life(folder, None).said)
        wanted = sum(1 for number in range(given.rows) if (number + version) % 100)
    full = [one["seconds"] for one in looks if one["rows"] > 0.9 * given.rows]
    found: dict[str, Any] = {
        "rows": given.rows, "kills": killed, "lost": sum(one["lost"] for one in looks) + final["lost"],
        "looks_that_disagree": sum(not one["agree"] for one in [*looks, final]),
        "not_found": sum(one["not_found"] for one in [*looks, final]), "looked_for": 20 * (len(looks) + 1),
        "reopened_full": len(full), "reopen_seconds_worst": round(max(full, default=0.0), 2),
        "reopen_seconds_median": round(sorted(full)[len(full) // 2], 2) if full else None,
        "second_writer_seconds": round(refused_after, 2), "second_writer": refusal.replace(scratch, "..."),
        "rows_at_the_end": final["rows"], "rows_wanted": wanted,
    }  # fmt: skip
    found["goals"] = {
        "killed_as_often_as_asked": killed == given.kills,
        "nothing_lost": found["lost"] == 0 and final["rows"] == wanted,
        "stores_agree": found["looks_that_disagree"] == 0,
        "open_within_5_s": bool(full) and max(full) <= 5,
        "second_writer_refused_within_2_s": refused_after <= 2 and refusal.startswith("1: ") and "\n" not in refusal,
    }
    (ROOT / "bench" / "results" / "index_kills.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Does a catalogue of two million products stream? Rows/s and peak memory of reading, cleaning, drawing and writing.

    python bench/product_cleaning.py                    # 200,000 and 2,000,000 rows, about ten minutes on two cores
    python bench/product_cleaning.py --rows 20000 200000   # a quick look, not a result

The rows are made up in the form of AmazonTitles-1.3MM's `trn.json.gz` (JSON lines with uid, title, content, target_ind,
target_rel): 45% have no content, as there; lengths are those of ../shared/data/products' sample of it (median 446
characters, long tail), with entities, tags and accents; 1% of the rows are exact duplicates, 2% near ones.

Two processes per size, each from its start to its end:
  clean  every row read and cleaned (`synth.sources.read_source`), and dropped
  rows   the whole stage, `python -m synth recipe.yaml`: 5,000 rows to train on and 1,000 to test on out of all of them,
         every other row counted, every reject written with its reason, near duplicates on one side of the split
Goals: peak memory at the larger size at most 10% above that at the smaller; all counts add up; no near duplicate of a
drawn row on the other side. Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECIPE = """
name: cleaning
task: description
source:
  path: trn.json.gz
  id: uid
  fields: {title: title, description: content}
  train: 5000
  test: 1000
students: {student: {kind: causal, base: scratch, format: alpaca, lora: null, quantization: none}}
"""
CLEAN = """
import json, sys
from collections import Counter
from recipes.load import load_recipe
from synth.sources import read_source
seen = Counter()
for row in read_source(load_recipe("recipe.yaml"), "pool"):
    seen["rows"] += 1
    seen[row.unfit[0] if row.unfit else "usable"] += 1
print(json.dumps(seen))
"""
WATCHED = """
import atexit, sys
sys.argv = sys.argv[1:]
def peak():
    status = open("/proc/self/status").read()
    print("peak kB", status.partition("VmHWM:")[2].split()[0], flush=True)
atexit.register(peak)
"""
"""Goes before what is measured: the peak that a parent sees (ru_maxrss) has its own memory in it."""
LAUNCH = "import runpy; runpy.run_module('synth', run_name='__main__')"
MARKUP = [
    "&amp;",
    "<b>new</b>",
    "<br/>",
    "&quot;",
    "<br>",
    "&#39;s",
    "<li>",
    "</li>",
    "<i>fine</i>",
    "&eacute;t&eacute;",
]
ACCENTS = ["café", "naïve", "Größe", "señor", "—", "“quoted”", "3½", "100%", "5\u00a0cm"]


def write_catalogue(path: Path, rows: int, seed: int = 7) -> None:
    """`rows` products, made up; the same seed gives the same file."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(20_000)]
    words += (MARKUP + ACCENTS) * 120
    kept: list[str] = []
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as out:
        for number in range(rows):
            title = " ".join(rng.choices(words, k=rng.randint(3, 11))).capitalize()
            content = _content(rng, words, kept)
            row = {
                "uid": f"B{number:09}",
                "title": title,
                "content": content,
                "target_ind": [number],
                "target_rel": [1.0],
            }
            if content and rng.random() < 0.01 and kept:
                row["title"], row["content"] = json.loads(rng.choice(kept))
            elif content and len(kept) < 5_000:
                kept.append(json.dumps([title, content]))
            out.write(json.dumps(row) + "\n")


def _content(rng: random.Random, words: list[str], kept: list[str]) -> str:
    draw = rng.random()
    if draw < 0.45:
        return ""
    if draw < 0.47 and kept:
        return f"{json.loads(rng.choice(kept))[1]} {rng.choice(words)}"
    return " ".join(rng.choices(words, k=max(5, int(math.exp(rng.gauss(math.log(75), 0.85))))))


def run(code: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a program to its end: seconds, peak MB, what it said."""
    begun = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WATCHED + code, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{code} failed:\n{done.stderr[-3000:]}")
    *said, peak = done.stdout.splitlines()
    seconds = round(time.perf_counter() - begun, 1)
    return {"seconds": seconds, "peak_mb": round(int(peak.split()[-1]) / 1024, 1), "said": said}


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """Both processes over the first `rows` of the catalogue."""
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    with gzip.open(folder / "all.json.gz", "rb") as lines, gzip.open(folder / "trn.json.gz", "wb", 1) as out:
        out.writelines(islice(lines, rows))
    cleaned = run(CLEAN, folder)
    seen = json.loads(cleaned.pop("said")[-1])
    built = run(LAUNCH, folder, "synth", "recipe.yaml", "--run", f"run-{rows}")
    built.pop("said")
    facts = json.loads((folder / f"run-{rows}/manifests/rows.json").read_text(encoding="utf-8"))["facts"]
    for spent in (cleaned, built):
        spent["rows_per_s"] = round(rows / spent["seconds"])
    found = {name: facts[name] for name in ("read", "not_drawn", "unfit", "asked", "kept", "rejected", "reasons")}
    adds_up = facts["read"] == rows == seen["rows"] == facts["not_drawn"] + facts["unfit"] + facts["asked"]
    return {"rows": rows, "clean": cleaned, "stage": built, "facts": found, "adds_up": adds_up,
            "straddling": straddling(folder / f"run-{rows}/rows")}  # fmt: skip


def straddling(rows: Path) -> int:
    """Pairs of near duplicates (Jaccard of word 3-grams >= 0.8) of which one is tested on and the other trained on."""
    sys.path.insert(0, str(ROOT))
    from synth.duplicates import similarity, sketch

    def sketches(split: str) -> list[Any]:
        lines = (rows / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        return [sketch("\n".join(json.loads(line)["fields"].values())) for line in lines]

    tested = sketches("test")
    by_hash: dict[int, set[int]] = {}
    for place, hashes in enumerate(tested):
        for value in hashes:
            by_hash.setdefault(value, set()).add(place)
    pairs = 0
    for hashes in [*sketches("train"), *sketches("validation")]:
        met = set().union(*(by_hash.get(value, set()) for value in hashes))
        pairs += sum(similarity(hashes, tested[place]) >= 0.8 for place in met)
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs=2, default=[200_000, 2_000_000])
    sizes = parser.parse_args().rows
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as name:
        folder = Path(name)
        begun = time.perf_counter()
        write_catalogue(folder / "all.json.gz", max(sizes))
        print(f"catalogue of {max(sizes):,} rows made in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        found = []
        for rows in sizes:
            found.append(measure(folder, rows))
            print(json.dumps(found[-1]), file=sys.stderr)
    growth = {step: round(found[1][step]["peak_mb"] / found[0][step]["peak_mb"], 3) for step in ("clean", "stage")}
    goals = {
        "memory of cleaning at most 10% higher": growth["clean"] <= 1.1,
        "memory of the stage at most 10% higher": growth["stage"] <= 1.1,
        "all rows add up": all(one["adds_up"] for one in found),
        "5,000 and 1,000 rows drawn": all(one["facts"]["kept"] + one["facts"]["rejected"] == 6_000 for one in found),
        "no near duplicate on two sides": not any(one["straddling"] for one in found),
    }
    missed = [goal for goal, met in goals.items() if not met]
    print(json.dumps({"sizes": found, "memory_growth": growth, "goals": goals, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

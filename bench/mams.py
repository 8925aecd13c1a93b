#!/usr/bin/env python3
"""Terms and categories of real reviews by a T5 made in code: beside the baselines, and with and without pre-training.

    python bench/mams.py                     # at most 20 minutes on two cores
    python bench/mams.py --run DIR           # goes on from DIR if it was stopped

../shared/data/mams_atsa and mams_acsa (every sentence has two polarities or more; official splits). A small T5 learns
each of them from nothing (plain) and from a student that learnt analyses of train sentences (read). The splits of the
two cross: no sentence of either test or validation file is read. (The rows that choose an epoch are drawn from the
train files, for plain and read alike, and are among those that the reader reads.) The teacher of the analyses is
bench/lexicon_teacher.py, two word lists that never see a gold tuple. One run, the same seeds, paired by eval.
A T5 that has read no other text cannot be what t5-base is: the figures are those of the tool on this machine and say
nothing of the published ones. Seconds are those of a machine that does nothing else; "load" says whether it did.

Goals: every row accounted for and every test row scored; the baselines within 2 points of figures.md (45.0 and 59.2);
the gain of reading first paired, with its interval, on both tasks; all of it within 20 minutes. Whether the students
are above the baselines ("above_baseline"), and whether reading gains anything after correction ("reading_gains"),
are figures and no goals: the program must tell them, whatever they are ("in_words").
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexicon_teacher import reader

ROOT = Path(__file__).resolve().parent.parent
TASKS = {"atsa": ("lexicon", 0.450, 500), "acsa": ("one_vs_rest", 0.592, 400)}
"""Task -> its baseline, that one's F1 as figures.md has it, its test rows."""
MINUTES = 20
RECIPE = """
name: mams
about: Terms and categories of restaurant reviews (MAMS), a T5 made in code, with and without analyses of the reviews.
task: understanding
source: {{path: {reviews}, text: text, analysis: analysis, test: 100, near_duplicate: 1.0}}
datasets:
  mams-atsa: {{task: atsa, source: {{path: {data}/mams_atsa/train.jsonl.gz, test_path: {data}/mams_atsa/test.jsonl.gz,
    text: text, aspects: aspects, id: id, near_duplicate: 1.0}}}}
  mams-acsa: {{task: acsa, source: {{path: {data}/mams_acsa/train.jsonl.gz, test_path: {data}/mams_acsa/test.jsonl.gz,
    text: text, aspects: aspects, id: id, near_duplicate: 1.0}}}}
students:
  reader: {{kind: seq2seq, base: scratch, targets: [analysis], seeds: [{seed}], {shape}, epochs: {read}, {how},
    max_target_length: 96}}
  atsa-read: {{kind: seq2seq, base: students.reader, data: mams-atsa, {tuned}}}
  atsa-plain: {{kind: seq2seq, base: scratch, data: mams-atsa, {shape}, {tuned}}}
  acsa-read: {{kind: seq2seq, base: students.reader, data: mams-acsa, {tuned}}}
  acsa-plain: {{kind: seq2seq, base: scratch, data: mams-acsa, {shape}, {tuned}}}
"""
SHAPE = "scratch: {vocabulary: 4096, hidden: 128, intermediate: 256, layers: 2, heads: 4, dropout: 0}"
HOW = "batch_size: 16, learning_rate: 1.0e-2, warmup: 0.05, max_length: 96, precision: fp32"


def write_reviews(data: Path, path: Path) -> int:
    """The train sentences that neither dataset tests or validates on, each once, with the lexicon's analysis; returns
    how many were read."""
    read, held = reader(), {text for split in ("validation", "test") for text in sentences(data, split)}
    train = dict.fromkeys(text for text in sentences(data, "train") if text not in held)
    with path.open("w", encoding="utf-8") as out:
        for text in train:
            if opinions := read(text):
                out.write(json.dumps({"text": text, "analysis": {"opinions": opinions}}) + "\n")
    return len(train)


def sentences(data: Path, split: str) -> Iterator[str]:
    """The sentences of a split of both datasets."""
    for task in TASKS:
        with gzip.open(data / f"mams_{task}" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


def lines_of(data: Path, task: str) -> int:
    """Rows of a dataset, as its files have them."""
    paths = [data / f"mams_{task}" / f"{split}.jsonl.gz" for split in ("train", "test")]
    return sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in paths)


def accounted_for(funnel: dict[str, Any], lines: int) -> bool:
    """Whether every line of the source is kept, or left out for a reason that is told."""
    asked, aside = funnel["asked"], sum(funnel["set_aside"].values()) + (funnel["not_drawn"] or 0)
    kept = sum(funnel["kept"].values()) + sum(funnel["rejected"].values())
    return bool(asked == kept and asked + aside == lines)


def against_baseline(task: str, f1: dict[str, dict[str, Any]]) -> tuple[bool, str]:
    """Whether the better student of a task is above its baseline, and that in words."""
    baseline = TASKS[task][0]
    best = max((f"{task}-read", f"{task}-plain"), key=lambda name: f1[name]["value"])
    ours, theirs = f1[best]["value"], f1[baseline]["value"]
    where = "above" if ours > theirs else "not above"
    return ours > theirs, f"{best} {100 * ours:.1f} is {where} the baseline {baseline} {100 * theirs:.1f} (micro F1)"


def figures(report: dict[str, Any], run: Path, data: Path) -> dict[str, Any]:
    """What there is to say, out of report.json and the students' records."""
    whole = [one for one in report["results"] if one["slice"] == "all"]
    f1 = {one["model"]: one["figures"].get("f1", {}) for one in whole}
    keys = ("dataset", "first", "second", "seeds", "rows", "first_value", "second_value", "difference", "p", "p_holm")
    pairs = [{key: pair[key] for key in keys} for pair in report["pairs"] if pair["family"] == "distillation"]
    above = {task: against_baseline(task, f1) for task in TASKS}
    said = [f"{pair['first']} - {pair['second']}: {in_points(pair['difference'])}" for pair in pairs]
    students = {path.parent.name: json.loads(path.read_text()) for path in run.glob("students/*/student.json")}
    found = {
        "bench": "mams",
        "machine": report["machine"],
        "rows": {one["dataset"]: one["rows"] for one in report["sets"]},
        "funnels": {task: report["funnels"][f"mams-{task}"] for task in TASKS},
        "f1": f1,
        "f1_by_seed": {one["model"]: {by["seed"]: by["figures"].get("f1") for by in one["seeds"]} for one in whole},
        "invalid": {one["model"]: (one["figures"].get("invalid") or {}).get("value") for one in whole},
        "with_and_without_reading": pairs,
        "above_baseline": {task: told[0] for task, told in above.items()},
        "reading_gains": {pair["dataset"]: pair["difference"]["value"] > 0 and pair["p_holm"] < 0.05 for pair in pairs},
        "in_words": [*(told[1] for told in above.values()), *said],
        "training_seconds": {name: one["seconds"] for name, one in students.items()},
        "left_out_of_training": {name: one["rejected"] for name, one in students.items()},
    }
    return found | {"goals": goals(found, {task: lines_of(data, task) for task in TASKS})}


def goals(found: dict[str, Any], lines: dict[str, int]) -> dict[str, bool]:
    """What must hold whatever the scores are; lines: rows of each task's files."""
    pairs = found["with_and_without_reading"]
    return {
        "all_test_rows_scored": all(found["rows"].get(f"mams-{task}") == known[2] for task, known in TASKS.items()),
        "all_rows_accounted_for": all(accounted_for(found["funnels"][task], lines[task]) for task in TASKS),
        **{f"{name}_as_known": abs(found["f1"][name]["value"] - known) <= 0.02 for name, known, _ in TASKS.values()},
        "gain_paired_on_both_tasks": len({pair["dataset"] for pair in pairs}) == len(TASKS),
    }


def in_points(difference: dict[str, float]) -> str:
    """A paired difference as it reads: points, and the interval."""
    value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} points of micro F1 ({low:.1f} to {high:.1f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--run", type=Path, help="run folder to keep; default a temporary one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 52])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--read", type=int, default=7, help="epochs of the student that learns analyses")
    given = parser.parse_args()
    started = time.time()
    with tempfile.TemporaryDirectory() as scratch:
        folder, data = Path(scratch), (given.shared / "data").resolve()
        run = (given.run or folder / "run").resolve()
        reviews, recipe = run / "reviews.jsonl", folder / "mams.yaml"
        run.mkdir(parents=True, exist_ok=True)
        count = write_reviews(data, reviews)
        told = {"epochs": given.epochs, "read": given.read, "shape": SHAPE, "how": HOW, "seeds": given.seeds}
        tuned = f"seeds: {given.seeds}, epochs: {given.epochs}, {HOW}, max_target_length: 64"
        written = RECIPE.format(
            reviews=reviews, data=data, seed=given.seeds[0], read=given.read, shape=SHAPE, how=HOW, tuned=tuned
        )
        recipe.write_text(written, encoding="utf-8")
        command = [sys.executable, "-m", "finetune", str(recipe), "--run", str(run), "--yes"]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        seconds = time.time() - started
        found = figures(json.loads((run / "report.json").read_text(encoding="utf-8")), run, data)
    found["goals"][f"within_{MINUTES}_minutes"] = seconds <= 60 * MINUTES
    found |= {"seconds": round(seconds, 1), "load": [round(one, 1) for one in os.getloadavg()], "sentences": count}
    found |= {key: str(value) for key, value in told.items()} | {"met": all(found["goals"].values())}
    path = ROOT / "bench" / "results" / "mams.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    print("\n".join(found["in_words"]), file=sys.stderr)
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())

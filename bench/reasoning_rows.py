#!/usr/bin/env python3
"""How many reasoning rows are lost to a teacher that breaks off? The published run lost 45% (893 of 2,000 rows).

    python bench/reasoning_rows.py            # 2,000 real products, about a minute on two cores
    python bench/reasoning_rows.py --rows 500

`python -m synth` with the shipped prompt `product-reasoning` over ../shared/data/products, against
../shared/tools/teacher_server.py with `pbad` 0.1 (a tenth of the replies are JSON that breaks off) and `pcut` 0.05 (a
twentieth of the bodies break off on the wire). The server's own canned reply is the same for every product, which the
filters rightly reject as a duplicate, so the replies come from a book made here: for each product a question, reasoning
and response out of its own text, half of them in a form that models really write (fenced, raw line breaks, single
quotes, a comma too many, keys in another case, unescaped quotes, text around), none of them wrong in what it says.

A row is lost if the teacher's replies to it were not made into a row: rejects of stage `teacher`. What the filters
reject is shown apart. Goals: rows lost < 1%; every row kept or rejected with a reason; every kept text, to the letter,
what the book says. Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_throughput import ROOT, Server

SHARED = ROOT.parent / "shared"
RECIPE = """
name: reasoning-rows
task: reasoning
source: {{path: rows.jsonl, fields: {{title: title, description: description}}, id: id, test: 0, validation: 0}}
teacher: {{provider: endpoint, base_url: "{url}/v1", model: teacher, concurrency: 64, timeout: 60}}
synthesis: {{prompt: product-reasoning, reask: {reask}}}
students: {{student: {{kind: causal, base: scratch, format: think, lora: null, quantization: none}}}}
"""
KEYS = ("Question", "Complex_CoT", "Response")


def forms(row: dict[str, str]) -> list[str]:
    """The ways in which one object is written; half of them strict JSON."""
    strict = json.dumps(row, ensure_ascii=False)
    raw = strict.replace("\\n", "\n")
    return [
        *[strict] * 7,
        f"```json\n{json.dumps(row, indent=2)}\n```",
        raw,
        strict[:-1] + ",}",
        repr(row),
        json.dumps({key.lower().replace("_", " "): value for key, value in row.items()}),
        raw.replace('\\"', '"'),
        f"Here is the object:\n\n{raw}\n\nLet me know if you need more.",
    ]


def written(product: dict[str, Any]) -> dict[str, str]:
    """What the book's teacher writes about a product: its own words, so that nothing is invented."""
    title, description = product["title"], product["description"]
    kind = description.split(".")[0][:120]
    return {
        "Question": f"What would you get me if I look for this: {kind.lower()}?",
        "Complex_CoT": (
            f"The shopper looks for something specific.\nWhat is known of one candidate: {description[:200]}\n"
            f'That meets the need, so "{title}" is worth a look; nothing else was asked for.'
        ),
        "Response": f"{title} is what you look for. {description[:300]}",
    }


def products(most: int) -> list[dict[str, Any]]:
    """Products with a description of 100 characters or more, as `synth` will clean them."""
    sys.path.insert(0, str(ROOT))
    from synth.cleaning import clean_markup

    found: list[dict[str, Any]] = []
    with gzip.open(SHARED / "data/products/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            title, description = clean_markup(line["title"]), clean_markup(line["description"])
            if len(description) >= 100 and title:
                found.append({"id": line["id"], "title": title, "description": description})
    distinct = {(row["title"], row["description"]): row for row in found}
    ids = {row["id"]: row for row in distinct.values()}
    return list(ids.values())[:most]


def write_book(folder: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The source, and the server's book: it answers the product whose last line it was asked about."""
    said: dict[str, dict[str, str]] = {}
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as source, (folder / "book.jsonl").open("w") as book:
        for number, row in enumerate(rows):
            said[row["id"]] = written(row)
            every = forms(said[row["id"]])
            source.write(json.dumps(row) + "\n")
            asked = f"Title: {row['title']}\nDescription: {row['description']}"
            book.write(json.dumps({"text": asked, "reply": every[number % len(every)]}) + "\n")
    return said


SERVER = """
import asyncio, json, sys
tools, port, book = sys.argv[1:]
sys.path.insert(0, tools)
import teacher_server
with open(book, encoding="utf-8") as lines:
    teacher_server.RECORDED.update((row["text"], row["reply"]) for row in map(json.loads, lines))
def recorded_reply(body):
    return teacher_server.RECORDED.get("Title: " + body["messages"][-1]["content"].partition("Title: ")[2])
teacher_server.recorded_reply = recorded_reply
asyncio.run(teacher_server.serve(int(port)))
"""
"""teacher_server.py as it is, faults and all, with the replies of our book."""


@contextmanager
def teacher(book: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(SHARED / "tools"), str(port), str(book)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if "teacher on" not in process.stdout.readline():
            sys.exit("teacher_server.py did not start")
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def build(folder: Path, url: str, reask: int) -> dict[str, Any]:
    """`python -m synth`; the facts of its manifest."""
    (folder / "recipe.yaml").write_text(RECIPE.format(url=url, reask=reask), encoding="utf-8")
    command = [sys.executable, "-m", "synth", "recipe.yaml", "--run", f"run-{reask}"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"synth failed:\n{done.stderr[-3000:]}")
    facts = json.loads((folder / f"run-{reask}/manifests/rows.json").read_text(encoding="utf-8"))["facts"]
    return dict(facts)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(folder: Path, server: Server, said: dict[str, dict[str, str]], reask: int) -> dict[str, Any]:
    """One run: what was lost, what was rejected and why, what differs from what the teacher wrote."""
    server.reset(latency=0.05, pbad=0.1, pcut=0.05)
    facts = build(folder, server.url, reask)
    kept, rejects = lines(folder / f"run-{reask}/rows/train.jsonl"), lines(folder / f"run-{reask}/rows/rejects.jsonl")
    stages = Counter(row["stage"] for row in rejects)
    differ = [row["id"] for row in kept if tuple(row[key] for key in ("question", "reasoning", "response"))
              != tuple(said[row["id"]][key].strip() for key in KEYS)]  # fmt: skip
    stats = server.stats()
    asked = facts["asked"]
    return {
        "reask": reask,
        "asked": asked,
        "kept": facts["kept"],
        "lost": stages["teacher"],
        "lost_share": round(stages["teacher"] / asked, 5),
        "filtered": stages["filter"],
        "reasons": facts["reasons"],
        "without_reason": sum(not row["reason"] for row in rejects),
        "unaccounted": asked + facts["unfit"] - len(kept) - len(rejects),
        "differ": len(differ),
        "outcomes": facts["outcomes"],
        "asked_again": facts["asked_again"],
        "calls": stats["calls"],
        "struck": {name: stats.get(name, 0) for name in ("pbad", "pcut", "ok")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000)
    rows = products(parser.parse_args().rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = write_book(folder, rows)
        with teacher(folder / "book.jsonl") as server:
            once, ours = (measure(folder, server, said, reask) for reask in (0, 2))
    goals = {
        "rows lost < 1%": ours["lost_share"] < 0.01,
        "every row is kept or rejected": ours["unaccounted"] == 0,
        "every reject has its reason": ours["without_reason"] == 0,
        "every kept text is what the teacher wrote": ours["differ"] == 0,
    }
    missed = [goal for goal, met in goals.items() if not met]
    print(json.dumps({"ours": ours, "without_asking_again": once, "goals": goals, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

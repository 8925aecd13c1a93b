#!/usr/bin/env python3
"""Kill -9 `python -m synth` forty times over one run of 3,000 rows, then let it finish. What was lost, what paid twice?

    python bench/kill_resume.py                  # about two minutes on two cores

Each life asks for a random while and is killed; the teacher (../shared/tools/teacher_server.py, 50 ms an answer) counts
what it was asked. Goals: every row is there once, and no more calls were made again than kills x calls in flight.

Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IN_FLIGHT = 8
RECIPE = """
name: kills
task: classify
labels: [negative, neutral, positive]
source: {{path: rows.jsonl, text: text, id: id, test: 0, validation: 0}}
teacher: {{provider: endpoint, base_url: "{url}/v1", model: teacher, concurrency: {in_flight}}}
synthesis: {{prompt: sentiment-rationale}}
students: {{student: {{kind: classifier, base: minilm}}}}
"""


def write_input(folder: Path, url: str, rows: int) -> None:
    """The recipe, its rows, and the replies that the teacher has on record for them."""
    recipe = RECIPE.format(url=url, in_flight=IN_FLIGHT)
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    texts = [f"delivery number {number} came on time" for number in range(rows)]
    source = [json.dumps({"id": f"row-{number}", "text": text}) for number, text in enumerate(texts)]
    (folder / "rows.jsonl").write_text("\n".join(source) + "\n", encoding="utf-8")
    replies = [json.dumps({"text": text, "x_label": "positive", "x_reason": "On time is good."}) for text in texts]
    (folder / "replies.jsonl").write_text("\n".join(replies) + "\n", encoding="utf-8")


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def start_teacher(script: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    options = ["--replies", str(folder / "replies.jsonl"), "--column", "x"]
    server = subprocess.Popen([sys.executable, str(script), str(port), *options], stdout=subprocess.DEVNULL)
    for _ in range(100):
        time.sleep(0.1)
        try:
            call(f"http://127.0.0.1:{port}/_config", {"latency": 0.05})
            return server
        except OSError:
            continue
    server.kill()
    sys.exit("the teacher server did not start")


def one_life(command: list[str], url: str, draw: random.Random) -> bool:
    """Start synth, let it ask for a while, kill it; whether it was killed before it ended by itself."""
    before = call(f"{url}/_stats").get("calls", 0)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and call(f"{url}/_stats").get("calls", 0) == before:
        time.sleep(0.01)
    time.sleep(draw.uniform(0.0, 0.6))
    killed = process.poll() is None
    process.kill()
    process.wait()
    return killed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher-server", type=Path, default=ROOT.parent / "shared" / "tools" / "teacher_server.py")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        folder, url = Path(scratch), f"http://127.0.0.1:{port}"
        write_input(folder, url, given.rows)
        server = start_teacher(given.teacher_server, folder, port)
        try:
            command = [
                sys.executable,
                "-m",
                "synth",
                str(folder / "recipe.yaml"),
                "--run",
                str(folder / "run"),
                "--yes",
            ]
            draw = random.Random(given.seed)
            kills = sum(one_life(command, url, draw) for _ in range(given.kills))
            last = subprocess.run(command, capture_output=True, text=True, check=False)
            stats = call(f"{url}/_stats")
        finally:
            server.kill()
            server.wait()
        kept = folder / "run" / "rows" / "train.jsonl"
        ids = (
            [json.loads(line)["id"] for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
        )
    found: dict[str, Any] = {
        "rows": given.rows, "kills": kills, "in_flight": IN_FLIGHT, "calls": stats["calls"],
        "made_again": stats["calls"] - stats["distinct_requests"], "most_allowed": kills * IN_FLIGHT,
        "lost": given.rows - len(set(ids)), "doubled": len(ids) - len(set(ids)), "last_exit": last.returncode,
    }  # fmt: skip
    found["goals"] = {
        "killed_as_often_as_asked": kills == given.kills,
        "nothing_lost": found["lost"] == 0 and last.returncode == 0,
        "nothing_doubled": found["doubled"] == 0,
        "made_again_within_flight": found["made_again"] <= found["most_allowed"],
    }
    (ROOT / "bench" / "results" / "kill_resume.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

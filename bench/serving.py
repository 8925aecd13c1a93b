#!/usr/bin/env python3
"""What does `python -m rag serve` give to many clients, and what do bad ones take from a good one?

    python bench/serving.py                          # about ten minutes on two cores, four of them training
    python bench/serving.py --run /tmp/serving       # a folder that is kept: a second run need not train

The real command is started on a recipe whose student is a Llama of 24M weights made in code (trained for one pass: what
it says is worth nothing, and it says it for as long as it may), over 2,000 products of ../shared/data/products. It
answers in bf16 where the machine has it, as any student does. Every answer is asked for over HTTP as a stream:
retrieval, prompt, generation, checking of citations.

- tokens a second (the server's own count) of 12 clients at once over one alone, with two passages in the prompt and
  answers of up to 128 tokens; they take turns, and the ratio is the median over rounds. A prompt is read at the same
  speed for one and for many, so the longer it is beside the answer, the less there is to gain: its tokens are printed
- p99 of one client's short answers alone, and while 1,000 malformed requests come in over the same time
- what the server's memory grew by over all of it, from after its first answers; whether it crashed or logged a fault

Prints one JSON object as its last line, and fails where a goal is missed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 12
MALFORMED = 1000
ROUNDS = 3
RECIPE = """
name: serving
task: description
source: {path: products.jsonl, id: id, fields: {title: title, description: description}, train: 300, test: 0}
students:
  small:
    kind: causal
    base: scratch
    format: think
    instruction: You know products.
    lora: null
    quantization: none
    scratch: {vocabulary: 4096, hidden: 512, intermediate: 1408, layers: 8, heads: 8, kv_heads: 4}
    max_length: 512
    epochs: 1
retrieval:
  catalogue: {path: products.jsonl, id: id, fields: {title: title, description: description}}
  embedding: {model: minilm}
  refuse: 0
assistant: {model: students.small, concurrency: 16, queue: 64, rewrite: false}
"""


@dataclass
class Server:
    """The server under test. log: what it said."""

    process: subprocess.Popen[str]
    url: str
    log: list[str]

    def memory(self) -> int:
        """Resident bytes, of its children too."""
        own = psutil.Process(self.process.pid)
        return sum(part.memory_info().rss for part in [own, *own.children(recursive=True)])


def write_input(folder: Path) -> list[str]:
    """The recipe and its catalogue; the titles in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(ROOT.parent / "shared" / "data" / "products" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, islice(lines, 20_000)) if row.get("title") and row.get("description")][
            :2000
        ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "products.jsonl").write_text(text, encoding="utf-8")
    (folder / "serving.yaml").write_text(RECIPE, encoding="utf-8")
    return [row["title"] for row in rows]


def start(recipe: Path, run: Path) -> Server:
    """`python -m rag serve`, when it answers: index and student are made before."""
    command = [sys.executable, "-m", "rag", "serve", str(recipe), "--run", str(run), "--port", "0", "--yes"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    log: list[str] = []
    for line in process.stderr:
        log.append(line)
        print(line, end="", file=sys.stderr)
        found = re.search(r"at (http://127\.0\.0\.1:\d+)/", line)
        if found:
            threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True).start()
            return Server(process, found[1], log)
    raise SystemExit(f"the server did not start: it ended with {process.wait()}")


def ask(client: httpx.Client, server: Server, question: str, tokens: int) -> tuple[dict[str, int], float]:
    """(tokens as the server counts them, seconds)."""
    body = {"messages": [{"role": "user", "content": question}], "stream": True, "max_tokens": tokens, "passages": 2}
    began, counted = time.monotonic(), {}
    asked = body | {"stream_options": {"include_usage": True}, "temperature": 0.7}
    with client.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=300) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {answer.read().decode()}")
        for line in answer.iter_lines():
            if '"usage"' in line:
                counted = json.loads(line[6:])["usage"]
    return counted, time.monotonic() - began


def throughput(server: Server, questions: list[str], clients: int, tokens: int) -> dict[str, float]:
    """Tokens a second of `clients` that share the questions."""
    with httpx.Client(limits=httpx.Limits(max_connections=clients)) as client, ThreadPoolExecutor(clients) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda question: ask(client, server, question, tokens), questions))
        seconds = time.monotonic() - began
    said = sum(usage["completion_tokens"] for usage, _ in answers)
    read = sum(usage["prompt_tokens"] for usage, _ in answers)
    return {
        "clients": clients, "answers": len(answers), "tokens_of_prompt": read / len(answers),
        "tokens_of_answer": said / len(answers), "tokens_per_second": said / seconds,
    }  # fmt: skip


def malformed(draw: random.Random) -> bytes:
    """A request that is wrong in one of many ways."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    good = '{"messages": [{"role": "user", "content": "kettle?"}], "max_tokens": 4}'

    def post(body: str, *more: str) -> bytes:
        fields = "".join(
            f"{line}\r\n" for line in (*more, f"Content-Length: {len(body.encode())}", "Connection: close")
        )
        return f"{head}{fields}\r\n{body}".encode()

    cut = draw.randrange(1, len(good))
    return draw.choice(
        [
            post(good[:cut]),
            post("[" * 4000),
            post('{"messages": "' + "x" * 200_000 + '"}'),
            post('{"messages": [{"role": "user", "content": 7}]}'),
            post(good.replace("max_tokens", "max_token")),
            post(good.replace('"user"', '"tool"')),
            post(good, "Origin: http://evil.example"),
            post(good, "Authorization: Bearer " + "k" * 500).replace(b"localhost", b"evil.example"),
            post(good).replace(b"application/json", b"text/plain"),
            post(good).replace(b"kettle", b"\xff\xfe\x00\xff\xfe\x00"),
            (head + "Content-Length: 999999999\r\n\r\n").encode(),
            (head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n").encode(),
            b"GET /" + b"a" * draw.randrange(1, 60_000) + b" HTTP/1.1\r\n\r\n",
            bytes(draw.randrange(256) for _ in range(draw.randrange(1, 400))) + b"\r\n\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ]
    )


def attack(port: int, request: bytes) -> int:
    """The status that a malformed request got; 0: the connection was closed without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(request)
            answer = line.recv(4096)
    except OSError:
        return 0
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def latencies(server: Server, questions: list[str], until: threading.Event | None = None) -> list[float]:
    """Seconds of one client's short answers, one after the other; as many as there are questions, or until `until`."""
    found: list[float] = []
    with httpx.Client() as client:
        while len(found) < len(questions) or (until is not None and not until.is_set()):
            found.append(ask(client, server, questions[len(found) % len(questions)], 16)[1])
    return found


def storm(server: Server, questions: list[str], seconds: float, draw: random.Random) -> tuple[list[float], list[int]]:
    """(a good client's seconds, the statuses of MALFORMED requests that came in over `seconds`)."""
    port, over = int(server.url.rpartition(":")[2]), threading.Event()
    requests = [malformed(draw) for _ in range(MALFORMED)]
    began, statuses = time.monotonic(), []

    def one(place: int) -> int:
        time.sleep(max(0.0, began + seconds * place / MALFORMED - time.monotonic()))
        return attack(port, requests[place])

    def all_of_them() -> None:
        with ThreadPoolExecutor(8) as pool:
            statuses.extend(pool.map(one, range(MALFORMED)))
        over.set()

    attacker = threading.Thread(target=all_of_them)
    attacker.start()
    found = latencies(server, questions, over)
    attacker.join()
    return found, statuses


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[98]


def measure(server: Server, questions: list[str], tokens: int, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    throughput(server, questions[:24], CLIENTS, tokens)  # everything is loaded, and memory has its shape
    before = server.memory()
    rounds = [
        (throughput(server, questions[:6], 1, tokens), throughput(server, questions[:48], CLIENTS, tokens))
        for _ in range(ROUNDS)
    ]
    ratios = [many["tokens_per_second"] / one["tokens_per_second"] for one, many in rounds]
    alone = latencies(server, questions[:100])
    stormy, statuses = storm(server, questions[:100], sum(alone), draw)
    grown = server.memory() - before
    alive = server.process.poll() is None
    server.process.send_signal(signal.SIGINT)
    code = server.process.wait(60)
    faults = sum("Traceback" in line or "our fault" in line for line in server.log)
    kinds = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    found: dict[str, Any] = {
        "one": rounds[-1][0], "many": rounds[-1][1], "scalings": ratios, "scaling": statistics.median(ratios),
        "good_client": {"alone_p99": p99(alone), "storm_p99": p99(stormy), "answers": [len(alone), len(stormy)],
                        "alone_p50": statistics.median(alone), "storm_p50": statistics.median(stormy)},
        "p99_ratio": p99(stormy) / p99(alone), "malformed": kinds, "memory_grown_mb": grown / 2**20,
        "memory_mb": before / 2**20, "exit": code, "faults_logged": faults,
    }  # fmt: skip
    found["goals"] = {
        "twelve_clients_3x": found["scaling"] >= 3,
        "p99_within_2x": found["p99_ratio"] <= 2,
        "no_crash": alive and code == 0 and faults == 0 and not any(status >= 500 for status in statuses),
        "memory_within_50_mb": found["memory_grown_mb"] < 50,
    }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a folder that is kept, so that a second run need not train")
    parser.add_argument("--tokens", type=int, default=128, help="most tokens of an answer; default 128")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    try:
        folder: Path = given.run or scratch
        titles = write_input(folder)
        server = start(folder / "serving.yaml", folder / "run")
        try:
            found = measure(server, [f"What is {title}?" for title in titles[:100]], given.tokens, given.seed)
        finally:
            server.process.kill()
    finally:
        shutil.rmtree(scratch)
    (ROOT / "bench" / "results" / "serving.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if all(found["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What do many clients get of one student, beside one client alone and beside transformers' continuous batching?

    python bench/engine.py [--rounds 5] [--requests 1000]     # about a quarter of an hour on two cores

The student is a Llama of 27M weights made in code, in float32; what it says is worth nothing, and it says it for as
long as it may. A client asks, reads the whole answer as it comes, and asks again, through the same speaker that
`python -m rag serve` answers with (there is no HTTP and no retrieval in this; bench/serving.py has both).

- tokens a second of answers, 12 clients at once over one alone, for prompts of about 64, 256 and 768 tokens and answers
  of 128: prompts are read at the same speed for one and for many, so that long ones leave less to gain
- the same two for transformers' manager (paged|sdpa, which is what it has on a CPU), greedy on both sides
- whether every answer has the tokens that the student gives alone
- what memory grows by over 1,000 requests, a third of them left before their end

The ways take turns in each round, and a ratio is the median over the rounds. Goals: 3x at 256 tokens, all tokens equal,
less than 50 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from finetune.answering import GenerativeStudent
from finetune.hardware import find_machine
from finetune.scratch import make_model, make_tokenizer
from finetune.silence import quiet
from rag.engine import Engine
from rag.local import LocalSpeaker
from rag.speakers import Ask, Ending, Piece
from recipes.console import say
from recipes.rows import ResponseRow, Turn
from recipes.students import CausalStudent

ROOT = Path(__file__).resolve().parent.parent
CLIENTS, ANSWER, GOAL, MEGABYTES = 12, 128, 3.0, 50
PROMPTS = {"64": 64, "256": 256, "768": 768}
SHAPE = {"vocabulary": 4096, "hidden": 512, "intermediate": 1408, "layers": 8, "heads": 8, "kv_heads": 4}
TALK = "kettle lamp radio mug spade kite stove clock red tall quiet cheap heavy bright small steel glass which has"


def make_student() -> GenerativeStudent:
    """A student that never ends an answer by itself."""
    section = CausalStudent(
        kind="causal", base="scratch", format="chat", quantization="none", lora=None, scratch=SHAPE, max_length=2048
    )
    draw = random.Random(0)
    rows = [
        ResponseRow(id=str(n), split="train", group=str(n), question=words(draw, 40), response=words(draw, 40))
        for n in range(300)
    ]
    with quiet():
        tokenizer = make_tokenizer(section, rows)
        student = GenerativeStudent(make_model(section, tokenizer, 0), tokenizer, section)
    student.stops = set()
    return student


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(TALK.split(), k=count))


def asks(student: GenerativeStudent, tokens: int, count: int, seed: int) -> list[Ask]:
    """Questions whose prompts have about so many tokens."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        text = words(draw, tokens - 10)
        found.append(Ask((Turn(role="user", content=text),), ANSWER, 0))
    return found


async def hear(speaker: LocalSpeaker, ask: Ask, leave: int | None = None) -> tuple[str, int]:
    """(the answer, its tokens); `leave` after so many pieces."""
    text, pieces = "", 0
    async with aclosing(speaker.say(ask)) as said:
        async for one in said:
            if isinstance(one, Piece):
                text, pieces = text + one.text, pieces + 1
            if isinstance(one, Ending):
                return text, one.completion_tokens
            if pieces == leave:
                break
    return text, 0


async def clients(speaker: LocalSpeaker, questions: list[Ask], count: int) -> float:
    """Tokens a second that so many clients get together."""
    left = iter(questions)

    async def client() -> int:
        return sum([(await hear(speaker, ask))[1] for ask in left])

    began = time.perf_counter()
    tokens = sum(await asyncio.gather(*(client() for _ in range(count))))
    return tokens / (time.perf_counter() - began)


def theirs(student: GenerativeStudent, questions: list[Ask], count: int) -> float:
    """The same of transformers' manager: what `count` clients that ask in turn get of it."""
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    prompts = [student.renderer.encode_prompt(ask.messages[-1].content) for ask in questions]
    blocks = CLIENTS * (2 + (max(map(len, prompts)) + ANSWER) // 32)
    model: Any = student._model
    before = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(max_new_tokens=ANSWER, do_sample=False, eos_token_id=-1),
        continuous_batching_config=ContinuousBatchingConfig(
            num_blocks=2 * blocks, block_size=32, max_batch_tokens=512, allow_block_sharing=False
        ),
    )
    manager.start()
    began, tokens, waiting = time.perf_counter(), 0, list(prompts)
    for _ in range(min(count, len(waiting))):
        manager.add_request(waiting.pop())
    for _ in prompts:
        tokens += len(manager.get_result(timeout=600).generated_tokens)
        if waiting:
            manager.add_request(waiting.pop())
    seconds = time.perf_counter() - began
    manager.stop(block=True)
    model.set_attn_implementation(before)
    return tokens / seconds


def throughput(student: GenerativeStudent, speaker: LocalSpeaker, rounds: int) -> dict[str, Any]:
    """Tokens a second of one and of many, ours and theirs, by length of prompt."""

    def ours(questions: list[Ask], count: int) -> float:
        return asyncio.run(clients(speaker, questions, count))

    ways: dict[str, Callable[[list[Ask], int], float]] = {
        "ours": ours, "transformers": lambda questions, count: theirs(student, questions, count)
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, tokens in PROMPTS.items():
        speeds: dict[str, list[float]] = {f"{way} {count}": [] for way in ways for count in (1, CLIENTS)}
        for number in range(rounds):
            for way, run in ways.items():
                speeds[f"{way} 1"].append(run(asks(student, tokens, 2, number), 1))
                speeds[f"{way} {CLIENTS}"].append(run(asks(student, tokens, 2 * CLIENTS, number), CLIENTS))
        pairs = {way: zip(speeds[f"{way} {CLIENTS}"], speeds[f"{way} 1"], strict=True) for way in ways}
        found[name] = {"tokens_per_second": {key: round(median(each), 1) for key, each in speeds.items()}} | {
            f"ratio {way}": round(median(many / one for many, one in both), 2) for way, both in pairs.items()
        }
        say(f"prompts of {name} tokens: {json.dumps(found[name])}")
    return found


def equal(student: GenerativeStudent, speaker: LocalSpeaker) -> int:
    """How many of 24 answers to 12 clients, greedy and sampled, are those of the student alone."""
    from finetune.answering import Question

    draw = random.Random(3)
    questions = [
        Ask((Turn(role="user", content=words(draw, 5 * n + 1)),), 60, n % 2, 0.9 if n % 3 else None, seed=n)
        for n in range(24)
    ]

    async def all_of_them() -> list[tuple[str, int]]:
        return await asyncio.gather(*(hear(speaker, ask) for ask in questions))

    same = 0
    for ask, (text, _) in zip(questions, asyncio.run(all_of_them()), strict=True):
        settings = student.answering.model_copy(
            update={"temperature": ask.temperature, "top_p": ask.top_p or 1.0, "max_new_tokens": ask.max_tokens}
        )
        alone = student.answer([Question(ask.messages[-1].content)], settings, ask.seed or 0)[0]
        same += text.strip() == alone.text.strip()
    return same


def growth(speaker: LocalSpeaker, count: int) -> float:
    """MB that memory grows by over `count` requests of 12 clients, after the first 100."""
    draw, own = random.Random(4), psutil.Process()

    def some(number: int) -> list[Ask]:
        return [
            Ask((Turn(role="user", content=words(draw, draw.randint(1, 120))),), draw.randint(1, 40), draw.random())
            for _ in range(number)
        ]

    async def ask_all(questions: list[Ask]) -> None:
        left = iter(questions)

        async def client() -> None:
            for ask in left:
                await hear(speaker, ask, leave=draw.choice([None, None, 5]))

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    asyncio.run(ask_all(some(100)))
    gc.collect()
    before = own.memory_info().rss
    asyncio.run(ask_all(some(count)))
    gc.collect()
    return (own.memory_info().rss - before) / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description="Tokens a second of one student, for one client and for twelve.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000)
    given = parser.parse_args()
    student = make_student()
    model: Any = student._model
    with Engine(student, CLIENTS) as engine:
        speaker = LocalSpeaker("students.bench", student, engine, 2048)
        grown = growth(speaker, given.requests)
        say(f"memory grew by {grown:.1f} MB over {given.requests:,} requests")
        same = equal(student, speaker)
        speeds = throughput(student, speaker, given.rounds)
    result = {
        "bench": "engine", "machine": find_machine("fp32").about, "clients": CLIENTS, "answer_tokens": ANSWER,
        "model": SHAPE | {"parameters": model.num_parameters()}, "by_prompt_tokens": speeds,
        "same_as_alone": f"{same} of 24", "memory_grown_mb": round(grown, 1), "requests": given.requests,
        "goals": {"3x": speeds["256"]["ratio ours"] >= GOAL, "same_tokens": same == 24, "memory": grown < MEGABYTES},
    }  # fmt: skip
    path = ROOT / "bench" / "results" / "engine.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if all(result["goals"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

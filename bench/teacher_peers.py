"""What one would ask a teacher with instead of ours, for bench/synth_throughput.py: the openai SDK, LangChain.

Started as a process of its own in the bench's folder: NAME URL ROWS CONCURRENCY. Writes NAME.json, the share of valid
replies; nothing where the package is not installed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

LABELS = ["negative", "neutral", "positive"]
PROMPT = """
version: 1
system: >-
  You are an expert annotator of the sentiment of tweets. You read a tweet as the manager of a social media account
  would, decide from the text alone, think about it first, and answer with one JSON object: {"reason": why, in one or
  two sentences, "label": negative, neutral or positive}.
user: "Tweet: {text}"
answer: {kind: json, label: label, rationale: reason}
"""


def as_peer(name: str, url: str, rows: int, concurrency: int) -> None:
    """Inside a peer's own process: send what `python -m synth` sends, count replies that name a label."""
    system = PROMPT.split("system: >-\n")[1].split("user:")[0]
    system = " ".join(system.split())
    with Path("all.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(rows), strict=False)]
    chats = [[("system", system), ("user", f"Tweet: {text}")] for text in texts]
    try:
        found = asyncio.run(
            _openai(url, chats, concurrency) if name == "openai" else _langchain(url, chats, concurrency)
        )
    except ImportError:
        return
    valid = 0
    for reply in found:
        try:
            valid += json.loads(reply)["label"] in LABELS
        except (TypeError, ValueError, KeyError):
            pass
    Path(f"{name}.json").write_text(json.dumps({"valid": valid / rows}), encoding="utf-8")


async def _openai(url: str, chats: list[list[tuple[str, str]]], concurrency: int) -> list[str | None]:
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=f"{url}/v1", timeout=60)
    gate = asyncio.Semaphore(concurrency)

    async def one(chat: list[tuple[str, str]]) -> str | None:
        async with gate:
            messages: Any = [{"role": role, "content": content} for role, content in chat]
            try:
                answer = await client.chat.completions.create(
                    model="teacher", messages=messages, temperature=0.7, max_tokens=1024,
                    response_format={"type": "json_object"},
                )  # fmt: skip
            except openai.OpenAIError:
                return None
            return answer.choices[0].message.content

    return await asyncio.gather(*(one(chat) for chat in chats))


async def _langchain(url: str, chats: list[list[tuple[str, str]]], concurrency: int) -> list[str | None]:
    from langchain_fireworks import ChatFireworks

    model = ChatFireworks(
        model="teacher", api_key="none", base_url=f"{url}/v1", temperature=0.7, max_tokens=1024, timeout=60,
        model_kwargs={"response_format": {"type": "json_object"}},
    )  # fmt: skip
    found = await model.abatch(chats, config={"max_concurrency": concurrency}, return_exceptions=True)
    await model.aclose()
    return [None if isinstance(one, BaseException) else str(one.content) for one in found]


if __name__ == "__main__":
    as_peer(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

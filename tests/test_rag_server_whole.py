"""The server and the terminal with nothing scripted: a student on its engine, a catalogue that is searched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import tiny_llama
from rag_runs import product, shop
from talking import At, serving

from finetune.answering import GenerativeStudent
from rag.assistant import Assistant
from rag.engine import Engine
from rag.local import LocalSpeaker
from recipes.assistant import Assistant as Settings
from recipes.students import Answering, CausalStudent

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    model = tiny_llama.load_plain(tiny_llama.make_llama(tmp_path_factory.mktemp("base") / "base"))
    section = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": "think"})
    with Engine(GenerativeStudent(model, tiny_llama.make_tokenizer(), section), rows=4) as engine:
        yield engine


@pytest.fixture(scope="module")
def at(engine: Engine) -> Iterator[At]:
    speaker = LocalSpeaker("students.tiny", engine._student, engine, 256)
    assistant = Assistant(Settings(instruction="Be brief."), Answering(temperature=0), None, speaker)
    with serving(assistant, concurrency=2) as at:  # type: ignore[arg-type]
        yield at
    assistant.close()


def test_a_student_answers_over_http(at: At) -> None:
    with openai.OpenAI(base_url=at.url + "/v1", api_key="none", max_retries=0) as client:
        asked = {"model": "shop", "messages": [{"role": "user", "content": "lamp?"}], "max_tokens": 12}
        whole = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage and 0 < whole.usage.completion_tokens <= 12 < whole.usage.prompt_tokens


def test_a_client_that_leaves_frees_the_row_of_the_engine(
    at: At, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Engine._step

    def slow(self: Engine) -> None:
        time.sleep(0.05)
        step(self)

    monkeypatch.setattr(Engine, "_step", slow)
    monkeypatch.setattr(engine._student, "stops", frozenset())  # it never ends by itself
    body = b'{"messages": [{"role": "user", "content": "lamp?"}], "stream": true, "max_tokens": 150}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", at.port)) as line:
        line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert line.recv(100)
        at.until(lambda: engine._jobs)
        (job,) = engine._jobs
    at.until(lambda: not engine._jobs and at.service.slots.answering == 0)
    assert job.gone and job.taken < 150


def test_lines_of_a_pipe_are_answered_from_the_catalogue(tmp_path: Path) -> None:
    rows = [product(number) for number in range(12)]
    rows.append(product(99, title="Kettle of steel", description="This kettle keeps tea warm. It holds 2 litres."))
    shop(tmp_path, rows)
    recipe = tmp_path / "shop.yaml"
    recipe.write_text(
        recipe.read_text(encoding="utf-8") + "  refuse: 0\nassistant: {model: extractive}\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "rag", "chat", str(recipe), "--run", str(tmp_path / "run")],
        input="Which kettle keeps tea warm?\n/filter brand=Nobody\nWhich kettle keeps tea warm?\n",
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONIOENCODING": "utf-8"}, check=False,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "keeps tea warm" in first and "[1]" in first and "kettle" not in second
    assert "[1] Kettle of steel  https://shop.example/99" in done.stderr

"""The shipped assistants over the sample catalogue, as a new user starts them: the real embedding model, no network."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rag_runs import WordEmbedder, product, shop, without_model
from test_rag_assistant import Shelf, Voice

from rag.__main__ import main
from rag.assistant import Assistant
from rag.speakers import Piece
from rag.terminal import chat
from recipes.assistant import Assistant as Settings
from recipes.errors import RunError
from recipes.load import load_recipe
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.students import Answering

ROOT = Path(__file__).parent.parent
QUICKSTART = str(ROOT / "recipes" / "quickstart-products.yaml")
ALONE = str(ROOT / "recipes" / "catalogue-assistant.yaml")

ANSWERED = {
    "What helps me kneel in the garden?": "Kneel",
    "a book about baking bread slowly": "Slow Bread",
    "noise cancelling headphones": "Whisper Over-Ear Headphones",
    "I want to learn a few knots": "Knots for People Who Hate Knots",
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the index of the sample catalogue."""
    run = tmp_path_factory.mktemp("quickstart") / "run"
    assert main(["index", QUICKSTART, "--run", str(run)]) == 0
    return run


@pytest.fixture
def run(indexed: Path, tmp_path: Path) -> Path:
    """A copy of it, for the test alone."""
    shutil.copytree(indexed, tmp_path / "run")
    return tmp_path / "run"


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_the_quickstart_answers_from_its_catalogue(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, *ANSWERED, "Who won the football world cup in 1998?")
    assert main(["chat", QUICKSTART, "--run", str(run)]) == 0
    captured = capsys.readouterr()
    *answers, refused = captured.out.splitlines()
    assert len(answers) == len(ANSWERED)
    for answer, title in zip(answers, ANSWERED.values(), strict=True):
        assert title in answer and re.search(r"\[\d\]", answer), answer
    assert refused == "I could not find that in the catalogue."
    assert "index: up to date (160 documents" in captured.err


def test_the_assistant_alone_finds_the_same(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", ALONE, "--run", str(indexed), "knots for a boat", "--top", "1"]) == 0
    assert capsys.readouterr().out.startswith("[1] Knots for People Who Hate Knots\n")


def test_a_recipe_without_an_assistant_quotes_passages(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "I want to learn a few knots")
    assert main(["chat", ALONE, "--run", str(run), "--set", "assistant=null"]) == 0
    captured = capsys.readouterr()
    assert "Knots for People Who Hate Knots" in captured.out
    assert "no section assistant: answers are sentences of the passages" in captured.err


def test_a_catalogue_of_three_things_has_no_confidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_model(monkeypatch)
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    shop(tmp_path, [product(number) for number in range(3)])
    assert main(["search", str(tmp_path / "shop.yaml"), "--run", str(tmp_path / "run"), "lamp"]) == 0
    assert capsys.readouterr().out.endswith(
        "no confidence is known: the catalogue is too small to set a threshold on\n"
    )


@pytest.mark.parametrize(("said", "told"), [("hm", True), (Piece("hm", thought=True), True), ("[1] Steel.", False)])
def test_an_answer_that_no_model_wrote_is_told_apart(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str | Piece,
    told: bool,
) -> None:
    """A student as small as the quickstart's thinks until it may write no more: passages are quoted in its place."""
    script = ["<think>", said] if told else [said]
    assistant = Assistant(Settings(), Answering(), Shelf(), Voice(*script))  # type: ignore[arg-type]

    @asynccontextmanager
    async def opened(recipe: Recipe, run: RunFolder) -> AsyncIterator[Assistant]:
        yield assistant

    monkeypatch.setattr("rag.terminal.open_assistant", opened)
    typed(monkeypatch, "Is the kettle of steel?")
    assert chat(load_recipe(ALONE), RunFolder(tmp_path), thinking=False) == 0
    captured = capsys.readouterr()
    assert "teel" in captured.out
    assert ("the model gave no answer: these are sentences of the passages" in captured.err) is told


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_in_use_is_told_before_anything_is_indexed(tmp_path: Path, taken: int) -> None:
    with pytest.raises(RunError, match=f"127.0.0.1:{taken} is in use by another program"):
        main(["serve", QUICKSTART, "--run", str(tmp_path / "run"), "--port", str(taken)])
    assert not (tmp_path / "run").exists()


def test_a_key_that_is_not_set_is_told_before_anything_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUTELAGE_TEST_KEY", raising=False)
    with pytest.raises(RunError, match="TUTELAGE_TEST_KEY is empty or not set: put the key"):
        main(["serve", ALONE, "--run", str(tmp_path / "run"), "--set", "assistant.key_env=TUTELAGE_TEST_KEY"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", ALONE, f"--port={port}"])
    assert f"{port!r} is no port: 0 to 65535" in capsys.readouterr().err


def test_a_number_of_passages_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["search", ALONE, "tea", "--top", "x"])
    assert "'x' is no number, 1 or more" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="the server is ended by a signal as on POSIX")
def test_the_openai_client_is_answered_with_citations(run: Path) -> None:
    openai = pytest.importorskip("openai")
    server = subprocess.Popen(
        [sys.executable, "-m", "rag", "serve", QUICKSTART, "--run", str(run), "--port", "0"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        said: list[str] = []
        while not said or "/v1" not in said[-1]:
            said.append(server.stderr.readline())
            assert said[-1], said
        address = re.search(r"http://127\.0\.0\.1:\d+/v1", said[-1])
        assert address is not None
        client = openai.OpenAI(base_url=address[0], api_key="none is needed", max_retries=0)
        assert [model.id for model in client.models.list()] == ["quickstart-products"]
        messages = [{"role": "user", "content": "I want to learn a few knots"}]
        reply = client.chat.completions.create(model="quickstart-products", messages=messages)
        assert "Knots for People Who Hate Knots" in reply.choices[0].message.content
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.stderr.close()

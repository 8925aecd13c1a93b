"""Starting and ending `serve`: ports, keys, signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from rag.serving import _told, listener, server_key
from recipes.assistant import Assistant as Settings
from recipes.errors import RunError, TutelageError

KEY = "0123456789abcdef-long-enough"


def test_a_port_in_use_is_one_sentence_before_any_model_is_loaded() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"127.0.0.1:{port} is in use .*--port"), listener("127.0.0.1", port):
            pass


def test_two_that_start_at_once_do_not_share_a_port() -> None:
    with listener("127.0.0.1", 0) as first, pytest.raises(RunError, match="in use"):
        listener("127.0.0.1", first.getsockname()[1]).__enter__()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7", "x" * 300, "\ud800"])
def test_an_address_that_is_not_this_machines_is_said(host: str) -> None:
    with pytest.raises(RunError, match="no address of this machine"), listener(host, 0):
        pass


class TestKey:
    def test_this_machine_needs_none(self) -> None:
        assert server_key(Settings(), "127.0.0.1") is None

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "shop.example"])
    def test_others_do(self, host: str) -> None:
        with pytest.raises(RunError, match=r"assistant\.key_env"):
            server_key(Settings(), host)

    def test_it_is_read_from_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_KEY", KEY)
        assert server_key(Settings(key_env="SHOP_KEY"), "0.0.0.0") == KEY

    def test_an_empty_variable_is_no_open_door(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SHOP_KEY", raising=False)
        with pytest.raises(RunError, match="SHOP_KEY is empty"):
            server_key(Settings(key_env="SHOP_KEY"), "127.0.0.1")

    @pytest.mark.parametrize("key", ["short", "with a space in it that is long"])
    def test_one_that_is_weak_or_fits_no_header_is_refused_and_not_repeated(
        self, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("SHOP_KEY", key)
        with pytest.raises(TutelageError) as caught:
            server_key(Settings(key_env="SHOP_KEY"), "127.0.0.1")
        assert key not in str(caught.value)


PROGRAM = """
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from talking import Talker
import rag.serving
from recipes.assistant import Assistant
from recipes.cli import run_main
from recipes.console import say
from recipes.runs import RunFolder

@asynccontextmanager
async def opened(recipe, run):
    yield Talker(pause=0.2)
    say("the assistant was closed")

rag.serving.open_assistant = opened
recipe = SimpleNamespace(name="shop", assistant=Assistant())
run_main(lambda argv: rag.serving.serve(recipe, RunFolder(Path(sys.argv[1])), None, 0))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_answers_end_and_the_assistant_close(tmp_path: Path, ending: signal.Signals) -> None:
    folder = Path(__file__).parent
    paths = os.pathsep.join([str(folder), str(folder.parent), os.environ.get("PYTHONPATH", "")])
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        first = server.stderr.readline()
        url = re.search(r"http://127.0.0.1:\d+", first)
        assert url is not None and not url[0].endswith(":0"), first
        body = {"messages": [{"role": "user", "content": "kettle?"}], "stream": True}
        with httpx.stream("POST", url[0] + "/v1/chat/completions", json=body, timeout=20) as answer:
            lines = answer.iter_lines()
            assert "sources" in next(lines)
            server.send_signal(ending)
            assert "data: [DONE]" in list(lines)
        rest = server.communicate(timeout=20)[1]
    finally:
        server.kill()
    assert server.returncode == 0, rest
    assert "the assistant was closed" in rest and rest.rstrip().endswith("ended") and "Traceback" not in rest


def test_what_is_said_at_the_start_names_every_address_and_who_needs_the_key() -> None:
    url = "http://0.0.0.0:8000"
    lines = _told(Settings(key_env="SHOP_KEY"), url, keyed=True)
    assert all(f"{url}{path}" in " ".join(lines) for path in ("/ ", "/v1", "/health", "/metrics"))
    assert "/health and /metrics too" in lines[2] and "SHOP_KEY" in lines[2] and "Bearer" in lines[2]
    assert not any("key" in line for line in _told(Settings(), url, keyed=False))

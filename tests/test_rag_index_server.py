"""An index whose vectors are on a real `chroma run` server on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from rag_runs import WordEmbedder, product, shop, without_model, write_catalogue

from rag.index import open_index
from rag.index_folder import IndexFolder
from rag.indexing import build_index
from rag.ledger import open_ledger
from recipes.errors import RunError
from recipes.runs import RunFolder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    chroma = shutil.which("chroma", path=str(Path(sys.executable).parent)) or "chroma"
    port, folder = _free_port(), tmp_path_factory.mktemp("server")
    command = [chroma, "run", "--path", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _collections(server: str) -> list[str]:
    address = f"{server}/api/v2/tenants/default_tenant/databases/default_database/collections"
    return [one["name"] for one in httpx.get(address).json()]


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    return without_model(monkeypatch)


def test_two_runs_share_a_server_and_do_not_meet(tmp_path: Path, server: str) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)], f"retrieval.server={server}")
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    assert build_index(recipe, one).added == 6
    write_catalogue(tmp_path, [product(n) for n in range(3, 9)])
    assert build_index(recipe, two).added == 6
    report = build_index(recipe, one)
    assert (report.added, report.removed, report.unchanged) == (3, 3, 3)
    assert not [path for path in (one.path / "index").glob("chroma-*") if path.is_dir()]
    embedder = WordEmbedder(recipe)
    with open_index(recipe, one) as first, open_index(recipe, two) as second:
        for index in (first, second):
            (hits,) = index.dense(embedder.queries(["Lamp model 8 of 8 watts"]), 6)
            assert hits[0].document == "p8"
            assert {hit.document for hit in hits} == {f"p{n}" for n in range(3, 9)}


def test_an_index_is_written_while_it_is_read(tmp_path: Path, server: str) -> None:
    run = RunFolder(tmp_path / "run")
    recipe = shop(tmp_path, [product(n) for n in range(6)], f"retrieval.server={server}")
    build_index(recipe, run)
    query = WordEmbedder(recipe).queries(["Lamp model 5 of 5 watts"])
    with open_index(recipe, run) as before:
        write_catalogue(tmp_path, [product(n) for n in range(4)])
        build_index(recipe, run)
        found = [hit.chunk for hit in before.dense(query, 6)[0]]
        assert len(before.chunks(found)) == len(found) == 4, "what is gone is not found"
    with open_index(recipe, run) as after:
        assert len(after.dense(query, 6)[0]) == len(after) == 4


def test_vectors_move_from_a_directory_to_a_server_without_embedding(
    tmp_path: Path, server: str, _no_model: list[WordEmbedder]
) -> None:
    run = RunFolder(tmp_path / "run")
    build_index(shop(tmp_path, [product(n) for n in range(6)]), run)
    recipe = shop(tmp_path, [product(n) for n in range(6)], f"retrieval.server={server}")
    assert build_index(recipe, run).embedded == 0
    assert len(_no_model) == 1
    with open_index(recipe, run) as index:
        assert len(index.dense(WordEmbedder(recipe).queries(["lamp"]), 9)[0]) == 6


def test_what_was_left_behind_by_a_move_is_dropped(tmp_path: Path, server: str) -> None:
    run, rows = RunFolder(tmp_path / "run"), [product(n) for n in range(3)]
    here, there = shop(tmp_path, rows), shop(tmp_path, rows, f"retrieval.server={server}")
    build_index(here, run)
    build_index(there, run)
    with open_ledger(IndexFolder(run).ledger) as ledger:
        name = ledger.fact("collection")
    assert name in _collections(server)
    assert not [path for path in (run.path / "index").glob("chroma-*") if path.is_dir()]
    build_index(here, run)
    with open_index(here, run) as index:
        assert len(index.dense(WordEmbedder(here).queries(["lamp"]), 9)[0]) == 3
    assert name not in _collections(server)


def test_a_server_that_is_gone_does_not_keep_an_index_from_moving(
    tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, rows = RunFolder(tmp_path / "run"), [product(n) for n in range(3)]
    build_index(shop(tmp_path, rows, f"retrieval.server={server}"), run)
    with open_ledger(IndexFolder(run).ledger) as ledger:
        ledger.set_fact("server", f"http://127.0.0.1:{_free_port()}")
        name = ledger.fact("collection")
    assert build_index(shop(tmp_path, rows), run).embedded == 0
    assert f"; the collection {name} is left there" in capsys.readouterr().err


def test_a_server_is_shown_its_key(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMA_KEY", "ours")
    seen: list[str | None] = []
    send = httpx.Client.send

    def sending(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return send(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", sending)
    overrides = (f"retrieval.server={server}", "retrieval.server_key_env=CHROMA_KEY")
    recipe, run = shop(tmp_path, [product(1)], *overrides), RunFolder(tmp_path / "run")
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert len(index.dense(WordEmbedder(recipe).queries(["lamp"]), 1)[0]) == 1
    assert set(seen) == {"Bearer ours"}
    monkeypatch.delenv("CHROMA_KEY")
    said = r"the variable CHROMA_KEY \(retrieval.server_key_env\) is not set"
    with pytest.raises(RunError, match=said), open_index(recipe, run):
        pass


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(1)], f"retrieval.server=http://127.0.0.1:{_free_port()}")
    with pytest.raises(RunError, match=r"the Chroma server http://127.0.0.1:\d+ \(retrieval.server\) cannot be used"):
        build_index(recipe, RunFolder(tmp_path / "run"))


def test_a_proxy_that_refuses_is_a_sentence(tmp_path: Path) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b"401 Authorization Required\nnginx")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        recipe = shop(tmp_path, [product(1)], f"retrieval.server=http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(RunError, match=r"\(retrieval.server\) cannot be used: 401 Authorization Required$"):
            build_index(recipe, RunFolder(tmp_path / "run"))
        proxy.shutdown()


def test_a_server_that_takes_a_call_and_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.vectors.CONNECTING", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        recipe = shop(tmp_path, [product(1)], f"retrieval.server=http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RunError, match=r"\(retrieval.server\) cannot be used: timed out"):
            build_index(recipe, RunFolder(tmp_path / "run"))

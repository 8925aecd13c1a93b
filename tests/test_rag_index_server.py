"""An index whose vectors are on a real `chroma run` server on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_runs import WordEmbedder, product, shop, without_model, write_catalogue

from rag.index import open_index
from rag.indexing import build_index
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


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(1)], f"retrieval.server=http://127.0.0.1:{_free_port()}")
    with pytest.raises(RunError, match=r"the Chroma server http://127.0.0.1:\d+ \(retrieval.server\) cannot be used"):
        build_index(recipe, RunFolder(tmp_path / "run"))

"""What an index survives: stops and kills, torn stores, full disks, and others who read or write meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rag_runs import WordEmbedder, current, product, shop, stores, titles, without_model, write_catalogue

from rag.index import open_index
from rag.index_folder import IndexFolder
from rag.indexing import build_index
from rag.ledger import open_ledger
from rag.vectors import VectorStore
from rag.where import read_where
from recipes.errors import RunError
from recipes.runs import RunFolder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    return without_model(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_ctrl_c_keeps_what_is_in_and_the_next_run_goes_on(
    tmp_path: Path,
    run: RunFolder,
    opened: list[WordEmbedder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rag.indexing_pass.WINDOW", 4)
    recipe = shop(tmp_path, [product(n) for n in range(20)])
    embed = WordEmbedder.documents

    def interrupted(self: WordEmbedder, texts: list[str]) -> np.ndarray:
        if len(self.seen) >= 8:
            raise KeyboardInterrupt
        return embed(self, texts)

    monkeypatch.setattr(WordEmbedder, "documents", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_index(recipe, run)
    assert "index: stopped; 8 documents are in, and the same command goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(WordEmbedder, "documents", embed)
    opened.clear()
    report = build_index(recipe, run)
    assert (report.unchanged, report.added) == (8, 12)
    assert report.embedded == 12


@pytest.mark.parametrize("tear", ["lacks", "has too much", "was wiped", "is torn", "is gone"])
def test_stores_that_do_not_agree_are_mended_without_embedding(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], tear: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    opened.clear()
    with current(run) as store:
        if tear == "lacks":
            store.remove(sorted(store.ids())[:2])
        elif tear == "has too much":
            store.add(["stranger"], np.ones((1, WordEmbedder.width), np.float32))
        elif tear == "was wiped":
            store.drop()
    if tear == "is torn":
        (generation,) = (path for path in IndexFolder(run).path.glob("chroma-*") if path.is_dir())
        (generation / "chroma.sqlite3").write_bytes(b"torn" * 5000)
    elif tear == "is gone":
        for generation in IndexFolder(run).path.glob("chroma-*"):
            shutil.rmtree(generation, ignore_errors=True)
    with open_index(recipe, run) as index:
        assert titles(index, recipe, "Lamp model 4 of 4 watts")[0] == "Lamp model 4"
    assert not opened
    said = capsys.readouterr().err
    assert "index: mended" in said or "it is made anew" in said or tear == "is gone"
    ledger_ids, store_ids = stores(recipe, run)
    assert ledger_ids == store_ids
    assert len(store_ids) == 6


def test_a_stop_between_the_stores_is_made_good(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    write_catalogue(tmp_path, [product(n, description="A violin.") for n in range(3)])

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("rag.vector_writer.VectorWriter.tell", killed)
        with pytest.raises(RuntimeError):
            build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert {hit.document for hit in index.lexical("violin", 9)} == {"p0", "p1", "p2"}
        assert len(index.dense(WordEmbedder(recipe).queries(["violin"]), 9)[0]) == 6
    ledger, store = stores(recipe, run)
    assert ledger == store


def test_a_store_that_fails_when_it_is_asked_is_made_anew(
    tmp_path: Path,
    run: RunFolder,
    opened: list[WordEmbedder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    count = VectorStore.__len__

    def failing(self: VectorStore) -> int:
        if "chroma-1" in self._where or "chroma-2" in self._where:
            raise RunError(f"{self._where}: Failed to apply logs to the hnsw segment writer")
        return count(self)

    monkeypatch.setattr(VectorStore, "__len__", failing)
    with open_index(recipe, run) as index:
        assert len(index.dense(WordEmbedder(recipe).queries(["lamp"]), 9)[0]) == 6
    said = capsys.readouterr().err
    assert "Failed to apply logs to the hnsw segment writer: it is made anew from catalogue.sqlite, and nothing" in said


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("rag.ledger.Ledger.write", full)
        with pytest.raises(
            RunError, match=r"catalogue.sqlite: database or disk is full; what was written before is kept"
        ):
            build_index(recipe, run)
    assert build_index(recipe, run).added == 6


def test_what_a_killed_writer_left_is_never_opened(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    folder = IndexFolder(run)
    torn = folder.generation(2)
    torn.mkdir()
    (torn / "chroma.sqlite3").write_bytes(b"torn" * 5000)
    write_catalogue(tmp_path, [product(n) for n in range(7)])
    assert build_index(recipe, run).added == 1
    with open_index(recipe, run) as index:
        assert len(index.dense(WordEmbedder(recipe).queries(["lamp"]), 9)[0]) == 7
    assert [path.name for path in folder.path.glob("chroma-*") if path.is_dir()] == ["chroma-2"]


def test_long_indexing_closes_a_generation_now_and_then(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.indexing_pass.WINDOW", 4)
    monkeypatch.setattr("rag.vector_writer.CHECKPOINT", 8)
    recipe = shop(tmp_path, [product(n) for n in range(30)])
    build_index(recipe, run)
    with open_ledger(IndexFolder(run).ledger) as ledger:
        assert ledger.fact("generation") == 4
    ledger_ids, store_ids = stores(recipe, run)
    assert ledger_ids == store_ids
    assert len(store_ids) == 30


def test_a_store_of_mostly_removed_vectors_is_made_afresh(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], capsys: pytest.CaptureFixture[str]
) -> None:
    for edition in range(4):
        recipe = shop(tmp_path, [product(n, description=f"edition {edition}") for n in range(4)])
        build_index(recipe, run)
    with open_ledger(IndexFolder(run).ledger) as ledger:
        assert ledger.fact("removed") <= 8
    assert "mended" not in capsys.readouterr().err
    ledger_ids, store_ids = stores(recipe, run)
    assert ledger_ids == store_ids
    assert len(store_ids) == 4


def test_an_index_is_written_while_it_is_read(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    query = WordEmbedder(recipe).queries(["Lamp model 5 of 5 watts"])
    with open_index(recipe, run) as before:
        for price in (7, 8):
            write_catalogue(tmp_path, [product(n, price=price) for n in range(2, 9)])
            build_index(recipe, run)
        hits = before.dense(query, 9)[0]
        assert hits[0].document == "p5"
        assert {hit.document for hit in hits} == {f"p{n}" for n in range(6)}
        assert before.documents(["p5"])["p5"].metadata["price"] == 5.5
        assert len(before.chunks([hit.chunk for hit in hits])) == 6
        assert [hit.document for hit in before.lexical("lamp", 9, read_where({"price": 5.5}, before.names))] == ["p5"]
        cheap = before.dense(query, 9, read_where({"price": {"$lt": 3}}, before.names))[0]
        assert {hit.document for hit in cheap} == {"p0", "p1", "p2"}
    with open_index(recipe, run) as after:
        assert {hit.document for hit in after.dense(query, 9)[0]} == {f"p{n}" for n in range(2, 9)}
    write_catalogue(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    assert len([path for path in IndexFolder(run).path.glob("chroma-*") if path.is_dir()]) == 1, "the old ones are gone"


def test_a_second_writer_is_refused(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    program = (
        "import sys; from pathlib import Path; from rag.index_folder import IndexFolder; "
        "from recipes.runs import RunFolder; from recipes.errors import RunError\n"
        "try:\n with IndexFolder(RunFolder(Path(sys.argv[1]))).writing(): print('writes')\n"
        "except RunError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(run.path)]
    with IndexFolder(run).writing():
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said.endswith("index is being written by another process: wait for it to end\n")
        with pytest.raises(RunError, match="is being written by another process: wait for it to end"):
            build_index(recipe, run)
    build_index(recipe, run)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "writes\n"
    with open_index(recipe, run), IndexFolder(run).writing():
        pass


def test_an_index_that_is_being_written_is_read_as_it_was(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.indexing_pass.WINDOW", 2)
    recipe = shop(tmp_path, [product(n) for n in range(4)])
    build_index(recipe, run)
    write_catalogue(tmp_path, [product(n) for n in range(8)])
    found: list[int] = []
    embed = WordEmbedder.documents

    def look(self: WordEmbedder, texts: list[str]) -> np.ndarray:
        with open_index(recipe, run) as index:
            found.append(len(index.dense(self.queries(["lamp"]), 9)[0]))
        return embed(self, texts)

    monkeypatch.setattr(WordEmbedder, "documents", look)
    monkeypatch.setattr("rag.indexing._set_threshold", lambda *_: None)
    build_index(recipe, run)
    assert found == [4, 4]


@pytest.mark.parametrize("damage", ["garbage", "another version"])
def test_a_damaged_ledger_is_named(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], damage: str) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    path = IndexFolder(run).ledger
    if damage == "garbage":
        path.write_bytes(b"no database" * 1000)
    else:
        with sqlite3.connect(path) as base:
            base.execute("PRAGMA user_version = 99")
        base.close()
    said = r"catalogue.sqlite (is damaged|was made by another version).* index again"
    with pytest.raises(RunError, match=said), open_index(recipe, run):
        pass


def test_a_lost_index_of_words_is_made_again(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    (words,) = IndexFolder(run).path.glob("words-*")
    (words / "pieces" / "params.index.json").write_text("{")
    with open_index(recipe, run) as index:
        assert index.lexical("lamp 2", 1)[0].document == "p2"
        assert index.frequency(index.tokens("lamps watt nothing")) == [3, 3, 0]

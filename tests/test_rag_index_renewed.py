"""An index that is made anew or moved: what is left of the old one, who still reads it, and where it was stopped."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rag_runs import WordEmbedder, product, shop, stores, titles, without_model, write_catalogue

from rag.index import open_index
from rag.index_folder import IndexFolder
from rag.index_report import IndexProgress, IndexReport
from rag.indexing import build_index
from rag.ledger import open_ledger
from rag.lexical import open_lexical
from rag.where import read_where
from recipes.errors import RunError
from recipes.runs import RunFolder

SHORTER = "retrieval.embedding.max_tokens=64"


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    return without_model(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def violins(number: int) -> list[dict[str, Any]]:
    return [product(n, title=f"Violin {n}", description="Of spruce.") for n in range(number)]


@pytest.mark.parametrize("number", [2, 3, 5], ids=["fewer", "as many", "more"])
def test_words_of_an_index_made_anew_are_those_of_the_new_catalogue(
    tmp_path: Path, run: RunFolder, number: int
) -> None:
    build_index(shop(tmp_path, [product(n) for n in range(3)]), run)
    recipe = shop(tmp_path, violins(number), SHORTER)
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert len(index.lexical("violin", 9)) == number
        assert index.lexical("lamp", 9) == []


def test_words_of_other_pieces_are_made_anew(tmp_path: Path, run: RunFolder) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    (old,) = IndexFolder(run).path.glob("words-*")
    shutil.copytree(old, tmp_path / "kept")
    write_catalogue(tmp_path, [product(n) for n in range(5)])
    build_index(recipe, run)
    (new,) = IndexFolder(run).path.glob("words-*")
    shutil.rmtree(new)
    (tmp_path / "kept").rename(new)
    with open_index(recipe, run) as index:
        assert len(index.lexical("lamp", 9)) == 5


def test_words_whose_files_a_power_cut_emptied_are_made_anew(tmp_path: Path, run: RunFolder) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    (words,) = IndexFolder(run).path.glob("words-*")
    for path in words.rglob("*.npy"):
        path.write_bytes(b"")
    for _ in range(2):
        with open_index(recipe, run) as index:
            assert len(index.lexical("lamp", 9)) == 3
    assert all(path.stat().st_size for path in words.rglob("*.npy"))


def test_only_the_writer_sweeps_words_away(tmp_path: Path, run: RunFolder) -> None:
    recipe, folder = shop(tmp_path, [product(n) for n in range(3)]), IndexFolder(run)
    build_index(recipe, run)
    for name in ("words-7", "words-9.half"):
        (folder.path / name).mkdir()
    with open_index(recipe, run):
        assert len(list(folder.path.glob("words-*"))) == 3
    with open_ledger(folder.ledger) as ledger:
        open_lexical(folder.path, ledger, writing=True)
    assert len(list(folder.path.glob("words-*"))) == 1


def test_words_that_another_process_kept_meanwhile_are_as_good(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = shop(tmp_path, [product(n) for n in range(3)]), IndexFolder(run)
    build_index(recipe, run)
    (words,) = folder.path.glob("words-*")
    words.rename(tmp_path / "theirs")

    def slow(partial: Path) -> None:
        (tmp_path / "theirs").rename(words)

    monkeypatch.setattr("rag.lexical.sync_files", slow)
    with open_index(recipe, run) as index:
        assert len(index.lexical("lamp", 9)) == 3
    assert [path.name for path in folder.path.glob("words-*")] == [words.name]


def test_an_index_that_is_made_anew_is_not_taken_from_who_reads_the_old_one(tmp_path: Path, run: RunFolder) -> None:
    old = shop(tmp_path, [product(n) for n in range(4)])
    build_index(old, run)
    folder = IndexFolder(run)
    inode = folder.generation(1).stat().st_ino
    with open_index(old, run) as before:
        recipe = shop(tmp_path, violins(3), SHORTER)
        build_index(recipe, run)
        assert folder.generation(1).stat().st_ino == inode
        assert folder.generation(2).is_dir()
        assert titles(before, old, "Lamp model 3 of 3 watts")[0] == "Lamp model 3"
    with open_index(recipe, run) as after:
        assert titles(after, recipe, "violin 2")[0] == "Violin 2"


def test_an_index_of_another_embedding_is_not_searched(tmp_path: Path, run: RunFolder) -> None:
    build_index(shop(tmp_path, [product(1)]), run)
    said = "index is of another embedding: run python -m rag index"
    with pytest.raises(RunError, match=said), open_index(shop(tmp_path, [product(1)], SHORTER), run):
        pass


@pytest.mark.parametrize("place", ["shutil.copytree", "rag.index_folder.IndexFolder.sync"])
def test_ctrl_c_while_a_generation_is_copied_or_closed_keeps_the_old_one(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    write_catalogue(tmp_path, [product(n) for n in range(9)])

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, stopped)
        with pytest.raises(KeyboardInterrupt):
            build_index(recipe, run)
    folder = IndexFolder(run)
    with open_ledger(folder.ledger) as ledger:
        assert ledger.fact("generation") == 1
        assert ledger.in_debt()
    assert folder.generation(1).is_dir()
    assert build_index(recipe, run).embedded == 0
    ledger_ids, store_ids = stores(recipe, run)
    assert ledger_ids == store_ids
    assert len(store_ids) == 9


def test_what_a_stopped_pass_changed_counts_towards_a_new_threshold(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag.indexing_pass.WINDOW", 4)
    recipe = shop(tmp_path, [product(n) for n in range(20)])
    build_index(recipe, run)
    write_catalogue(tmp_path, [product(n) for n in range(26)])
    embed = WordEmbedder.documents

    def interrupted(self: WordEmbedder, texts: list[str]) -> np.ndarray:
        if self.seen:
            raise KeyboardInterrupt
        return embed(self, texts)

    with monkeypatch.context() as patch:
        patch.setattr(WordEmbedder, "documents", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_index(recipe, run)
    capsys.readouterr()
    assert build_index(recipe, run).added == 2, "less than a tenth by themselves"
    assert "threshold set" in capsys.readouterr().err
    with open_ledger(IndexFolder(run).ledger) as ledger:
        assert ledger.fact("since threshold") == 0


def test_a_ledger_that_is_locked_or_no_file_is_not_called_damaged(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.ledger.PATIENCE", 0.01)
    path = tmp_path / "catalogue.sqlite"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RunError, match=r"catalogue.sqlite cannot be used now: database is locked"):
        open_ledger(path)
    holder.close()
    (tmp_path / "folder.sqlite").mkdir()
    with pytest.raises(RunError, match=r"folder.sqlite cannot be used now: unable to open database file"):
        open_ledger(tmp_path / "folder.sqlite")


def test_closing_a_ledger_does_not_wait_for_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with open_ledger(path) as reader:
        reader.hold()
        said: list[str] = []
        with open_ledger(path) as writer:
            writer.set_fact("a", 1)
            writer._base.set_trace_callback(said.append)
        assert said.index("PRAGMA busy_timeout = 0") < said.index("PRAGMA wal_checkpoint(TRUNCATE)")


def test_before_the_first_documents_are_in_none_are_counted() -> None:
    assert IndexProgress(IndexReport(), 160).line() == "index: embedding the first documents of 160"
    assert IndexProgress(IndexReport(), 0).line() == "index: embedding the first documents"
    assert IndexProgress(IndexReport(added=3), 160).line().startswith("index: 3 of 160 documents")


def test_numbers_come_back_as_the_catalogue_writes_them(tmp_path: Path, run: RunFolder) -> None:
    text = "id,title,description,price,brand,stock,link\n1,A,,24.50,,,\n2,B,,54.00,,,\n3,C,,7.5,,,\n"
    (tmp_path / "products.csv").write_text(text, encoding="utf-8")
    recipe = shop(tmp_path, [product(1)], "retrieval.catalogue.path=products.csv")
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        found = index.documents(["1", "2", "3"])
        dear = index.dense(WordEmbedder(recipe).queries(["a"]), 3, read_where({"price": {"$gt": 24.4}}, index.names))
    assert [one.metadata["price"] for one in found.values()] == [24.5, 54, 7.5]
    assert [one.written for one in found.values()] == [{"price": "24.50"}, {"price": "54.00"}, {}]
    assert {hit.document for hit in dear[0]} == {"1", "2"}


def test_a_number_too_large_for_one_is_read_back_as_it_stands(tmp_path: Path, run: RunFolder) -> None:
    huge = "1" * 400 + ".50"
    text = f"id,title,description,price,brand,stock,link\n1,A,,{huge},,,\n2,B,,54.00,,,\n"
    (tmp_path / "products.csv").write_text(text, encoding="utf-8")
    recipe = shop(tmp_path, [product(1)], "retrieval.catalogue.path=products.csv")
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert [one.metadata["price"] for one in index.documents(["1", "2"]).values()] == [huge, "54.00"]


def test_a_catalogue_that_is_read_otherwise_is_read_again(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    assert build_index(recipe, run).unchanged == 0, "up to date: the report of the first"
    monkeypatch.setattr("recipes.stages.READING_VERSION", 0)
    report = build_index(recipe, run)
    assert (report.unchanged, report.embedded) == (3, 0)


def test_a_model_that_cannot_be_loaded_costs_no_index(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(recipe: Any) -> None:
        raise RunError("it cannot be loaded")

    rows = [product(n) for n in range(3)]
    build_index(shop(tmp_path, rows), run)
    with monkeypatch.context() as patch:
        patch.setattr("rag.indexing_pass.open_embedder", missing)
        with pytest.raises(RunError, match="it cannot be loaded"):
            build_index(shop(tmp_path, rows, SHORTER), run)
    capsys.readouterr()
    build_index(shop(tmp_path, rows), run)
    assert "index: up to date" in capsys.readouterr().err

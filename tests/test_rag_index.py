"""The index stage and the index it makes, with an embedder that needs no model."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rag_runs import RECIPE, WordEmbedder, product, shop, without_model, write_catalogue

from rag.index import Index, open_index
from rag.index_folder import IndexFolder
from rag.indexing import build_index
from rag.ledger import open_ledger
from rag.vectors import VectorStore, open_vectors
from rag.where import matches, read_where
from recipes.errors import RunError, SourceError
from recipes.runs import RunFolder
from recipes.schema import Recipe


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    return without_model(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def embedded(opened: list[WordEmbedder]) -> list[str]:
    return [text for embedder in opened for text in embedder.seen]


def titles(index: Index, recipe: Recipe, query: str, limit: int = 3) -> list[str]:
    """What a search by meaning finds."""
    (hits,) = index.dense(WordEmbedder(recipe).queries([query]), limit)
    return [index.documents([hit.document])[hit.document].title for hit in hits]


def stores(recipe: Recipe, run: RunFolder) -> tuple[set[str], set[str]]:
    """Ids of the pieces in the ledger and in the vector store."""
    with open_ledger(IndexFolder(run).ledger) as ledger, current(run) as store:
        assert not ledger.in_debt()
        return set(ledger.places()[0]), set(store.ids())


def current(run: RunFolder) -> VectorStore:
    """The vector store that is read from."""
    folder = IndexFolder(run)
    with open_ledger(folder.ledger) as ledger:
        return open_vectors(folder.generation(ledger.fact("generation")), None, ledger.fact("collection"))


def test_a_catalogue_is_found_by_meaning_and_by_words(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(20)])
    report = build_index(recipe, run)
    assert (report.documents, report.chunks, report.added, report.embedded) == (20, 20, 20, 20)
    with open_index(recipe, run) as index:
        assert len(index) == 20
        assert titles(index, recipe, "Lamp model 7 of 7 watts")[0] == "Lamp model 7"
        hits = index.lexical("lamps of 7 watts", 5)
        assert hits[0].document == "p7"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        chunk = index.chunks([hits[0].chunk])[hits[0].chunk]
        assert (chunk.title, chunk.document) == ("Lamp model 7", "p7")
        assert index.documents(["p7", "nobody"]).keys() == {"p7"}
        assert index.documents(["p7"])["p7"].metadata == {"price": 7.5, "brand": "Borg", "stock": False}


def test_a_score_by_meaning_is_the_cosine(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(5)])
    build_index(recipe, run)
    embedder = WordEmbedder(recipe)
    with open_index(recipe, run) as index:
        (hits,) = index.dense(embedder.queries(["red desk"]), 5)
        for hit in hits:
            chunk = index.chunks([hit.chunk])[hit.chunk]
            one = embedder.queries([f"{chunk.title}\n{chunk.text}"])[0]
            assert hit.score == pytest.approx(float(one @ embedder.queries(["red desk"])[0]), abs=1e-5)


def test_what_is_unchanged_costs_nothing(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    build_index(recipe, run)
    assert "index: up to date (6 documents" in capsys.readouterr().err
    write_catalogue(tmp_path, [product(n) for n in (5, 4, 3, 2, 1, 0)])
    report = build_index(recipe, run)
    assert (report.unchanged, report.added, report.changed, report.removed, report.embedded) == (6, 0, 0, 0, 0)
    assert len(opened) == 1, "a pass without news loads no model"
    with open_ledger(IndexFolder(run).ledger) as ledger:
        assert ledger.fact("generation") == 1, "and copies no vectors"


def test_changed_documents_are_replaced_and_removed_ones_deleted(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(6)])
    build_index(recipe, run)
    opened.clear()
    rows = [product(n) for n in range(5)] + [product(9)]
    rows[2]["description"] = "A violin."
    write_catalogue(tmp_path, rows)
    report = build_index(recipe, run)
    assert (report.unchanged, report.added, report.changed, report.removed) == (4, 1, 1, 1)
    assert sorted(embedded(opened)) == ["Lamp model 2\nA violin.", "Lamp model 9\n" + product(9)["description"]]
    with open_index(recipe, run) as index:
        assert titles(index, recipe, "a violin")[0] == "Lamp model 2"
        assert [hit.document for hit in index.lexical("violin", 5)] == ["p2"]
        assert not {"p5"} & {hit.document for hit in index.lexical("lamp model", 50)}
    ledger, store = stores(recipe, run)
    assert ledger == store
    assert len(ledger) == 6


def test_a_new_price_needs_no_embedding(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(4)])
    build_index(recipe, run)
    opened.clear()
    write_catalogue(tmp_path, [product(n, price=1) for n in range(4)])
    report = build_index(recipe, run)
    assert (report.changed, report.retexted, report.embedded) == (4, 0, 0)
    assert not opened
    with open_index(recipe, run) as index:
        assert len(index.lexical("lamp", 9, read_where({"price": 1}, index.names))) == 4


def test_another_embedding_embeds_everything_anew(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], capsys: pytest.CaptureFixture[str]
) -> None:
    build_index(shop(tmp_path, [product(n) for n in range(4)]), run)
    recipe = shop(tmp_path, [product(n) for n in range(4)], "retrieval.embedding.document_prompt='passage: '")
    report = build_index(recipe, run)
    assert (report.added, report.embedded) == (4, 4)
    assert "the embedding is another one now" in capsys.readouterr().err
    ledger, store = stores(recipe, run)
    assert ledger == store
    assert len(store) == 4


def test_other_pieces_are_cut_and_embedded_anew(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    rows = [product(n, description=" ".join(f"word{k}" for k in range(60))) for n in range(3)]
    assert build_index(shop(tmp_path, rows), run).chunks == 3
    recipe = shop(tmp_path, rows, "retrieval.chunk_tokens=24", "retrieval.chunk_overlap=4")
    report = build_index(recipe, run)
    assert report.chunks > 6
    assert report.retexted == 3
    ledger, store = stores(recipe, run)
    assert ledger == store
    assert len(store) == report.chunks


def test_an_id_that_comes_twice_is_refused_once_and_counted(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = shop(tmp_path, [product(1), product(2), product(1, title="Another"), product(3)])
    report = build_index(recipe, run)
    assert report.rejected == {"id seen before": 1}
    assert report.documents == 3
    said = capsys.readouterr().err
    assert "products.jsonl:3: the id 'p1' stands in an earlier row, which counts" in said
    assert "1 row left out (id seen before 1)" in said
    with open_index(recipe, run) as index:
        assert index.documents(["p1"])["p1"].title == "Lamp model 1"


def test_an_empty_catalogue_leaves_the_index_as_it_was(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    write_catalogue(tmp_path, [product(1, title="", description="")])
    with pytest.raises(SourceError, match=r"products.jsonl: no row is a document: the index is left as it was"):
        build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert len(index) == 3


def test_a_file_that_breaks_off_removes_nothing(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    (tmp_path / "products.jsonl").write_text('{"id": "p0"', encoding="utf-8")
    with pytest.raises(SourceError):
        build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert len(index) == 3


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


WHERES = [
    {"brand": "Acme"}, {"brand": {"$ne": "Acme"}}, {"price": {"$lt": 20}}, {"price": {"$gte": 5, "$lte": 30.5}},
    {"stock": True}, {"$or": [{"brand": "Borg"}, {"price": {"$gt": 50}}]}, {"brand": {"$in": ["Cole", "Acme"]}},
    {"brand": {"$nin": ["Cole", "Acme"]}}, {"price": 7.5}, {"brand": "Nobody"}, {"brand": "Acme", "stock": False},
    {"price": {"$ne": 7.5}}, {"stock": {"$in": [False]}},
]  # fmt: skip


@pytest.mark.parametrize("few", [0, 10_000], ids=["asked of Chroma", "compared one and all"])
def test_a_filter_finds_what_exact_filtering_finds(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("rag.index._FEW", few)
    rows = [product(n) for n in range(60)]
    rows[5]["brand"] = rows[6]["price"] = rows[7]["stock"] = None
    recipe = shop(tmp_path, rows)
    build_index(recipe, run)
    query = WordEmbedder(recipe).queries(["Lamp red desks 9 watts", "blue lamp 12"])
    with open_index(recipe, run) as index:
        everything = index.dense(query, 60)
        words = index.lexical("lamp for red desks", 60)
        metadata = {document.id: document.metadata for document in index.each_document()}
        for where in WHERES:
            condition = read_where(where, index.names)
            for all_hits, found in zip(everything, index.dense(query, 10, condition), strict=True):
                held = [hit for hit in all_hits if matches(condition, metadata[hit.document])]
                assert [hit.score for hit in found] == pytest.approx([hit.score for hit in held[:10]], abs=1e-5)
                assert all(matches(condition, metadata[hit.document]) for hit in found)
            held = [hit for hit in words if matches(condition, metadata[hit.document])]
            assert index.lexical("lamp for red desks", 10, condition) == held[:10]


def test_an_index_that_is_not_there_says_what_to_do(tmp_path: Path, run: RunFolder) -> None:
    recipe = shop(tmp_path, [product(1)])
    with pytest.raises(RunError, match="holds no index: run python -m rag index"), open_index(recipe, run):
        pass


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


def test_a_word_counts_more_in_a_title(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    rows = [product(1, title="Table", description="a lamp"), product(2, title="Lamp", description="a table")]
    recipe = shop(tmp_path, rows)
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert [hit.document for hit in index.lexical("lamp", 2)] == ["p2", "p1"]
        assert [hit.document for hit in index.lexical("table", 2)] == ["p1", "p2"]


def test_words_are_folded_and_stemmed(tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]) -> None:
    rows = [product(1, title="Café CHAIRS"), product(2, title="Table"), product(3, title="Шкаф")]
    recipe = shop(tmp_path, rows)
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert index.lexical("cafe chair", 1)[0].document == "p1"
        assert index.lexical("шкаф", 1)[0].document == "p3"
        assert index.lexical("!!! ---", 5) == []
        assert index.lexical("", 5) == []


def test_nothing_leaves_the_machine(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    for name in ("CHROMA_API_IMPL", "ANONYMIZED_TELEMETRY", "CHROMA_SERVER_HOST"):
        monkeypatch.setenv(name, "chromadb.api.fastapi.FastAPI" if name == "CHROMA_API_IMPL" else "True")
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    recipe = shop(tmp_path, [product(n) for n in range(3)])
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert index.dense(WordEmbedder(recipe).queries(["lamp"]), 1)[0]


def test_a_catalogue_without_metadata_has_no_filters(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]
) -> None:
    text = RECIPE.replace("    metadata: {price: price, brand: brand, stock: stock}\n", "")
    recipe = shop(tmp_path, [product(n) for n in range(3)], text=text)
    build_index(recipe, run)
    with open_index(recipe, run) as index:
        assert index.names == ()

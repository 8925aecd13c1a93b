"""The index stage and the index it makes, with an embedder that needs no model."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_runs import RECIPE, WordEmbedder, matches, product, shop, stores, titles, without_model, write_catalogue

from rag.index import open_index
from rag.index_folder import IndexFolder
from rag.indexing import build_index
from rag.ledger import open_ledger
from rag.where import read_where
from recipes.errors import RunError, SourceError
from recipes.runs import RunFolder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[WordEmbedder]:
    return without_model(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def embedded(opened: list[WordEmbedder]) -> list[str]:
    return [text for embedder in opened for text in embedder.seen]


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
        metadata = {name: one.metadata for name, one in index.documents(index.document_ids()).items()}
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


def test_a_named_document_reads_few_vectors_and_the_same(
    tmp_path: Path, run: RunFolder, opened: list[WordEmbedder]
) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(9)])
    build_index(recipe, run)
    query = WordEmbedder(recipe).queries(["red lamp"])
    with open_index(recipe, run) as index:
        index.prepare()
        assert {"_columns", "_ids"} <= index.__dict__.keys()
        few = index.named("Acme", query, 5)
        assert len(few) == 3 and "_vectors" not in index.__dict__
        assert len(index._vectors) == 9
        assert few == index.named("Acme", query, 5)

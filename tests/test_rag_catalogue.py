"""The catalogue as documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_runs import product, shop, write_catalogue

from rag.catalogue import Reading, read_catalogue
from recipes.errors import SourceError


def test_documents_are_cleaned_and_metadata_keep_their_kinds(tmp_path: Path) -> None:
    row = product(1, description="Fine &amp; <b>bright</b>", title="L&eacute;a", id=7.0)
    (document,) = read_catalogue(shop(tmp_path, [row]))
    assert document.id == "7"
    assert document.title == "Léa"
    assert document.fields == {"title": "Léa", "description": "Fine & bright"}
    assert document.metadata == {"price": 1.5, "brand": "Borg", "stock": False}
    assert document.link == "https://shop.example/1"


def test_what_is_missing_is_left_out_of_the_metadata(tmp_path: Path) -> None:
    (document,) = read_catalogue(shop(tmp_path, [product(1, price=None, brand=" ", link=None)]))
    assert document.metadata == {"stock": False}
    assert document.link is None


def test_rows_that_are_no_documents_are_told_of_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [product(1), product(2, title="", description=" "), product(3, id=None), product(4, title="x" * 1_000_001)]
    reading = Reading(shop(tmp_path, rows))
    assert [document.id for _, document in reading.documents()] == ["p1"]
    assert reading.rejected == {"empty": 1, "no id": 1, "too long": 1}
    assert "products.jsonl:2: no field has text" in capsys.readouterr().err


def test_many_rejects_are_counted_but_not_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading = Reading(shop(tmp_path, [product(n, title="", description="") for n in range(30)]))
    assert list(reading.documents()) == []
    assert reading.rejected["empty"] == 30
    assert capsys.readouterr().err.count("\n") == 5


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(1)])
    write_catalogue(tmp_path, [{"id": "a", "title": "b", "descriptions": "c", "link": "", "price": 1, "brand": ""}])
    with pytest.raises(SourceError, match=r"fields.description: there is no column 'description', did you mean"):
        list(read_catalogue(recipe))


def test_a_cell_that_is_no_metadata_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"products.jsonl:1: brand holds dict; metadata must be a word, a number"):
        list(read_catalogue(shop(tmp_path, [product(1, brand={"name": "Acme"})])))


def test_a_csv_column_of_numbers_alone_holds_numbers(tmp_path: Path) -> None:
    text = (
        "id,title,description,price,brand,stock,link\n"
        "1,A,,19.90,1800,true,\n2,B,,5,Acme,False,\n3,C,,,007,,\n"
    )  # fmt: skip
    recipe = shop(tmp_path, [product(1)])
    (tmp_path / "products.csv").write_text(text, encoding="utf-8")
    settings = recipe.retrieval.model_copy(
        update={"catalogue": recipe.retrieval.catalogue.model_copy(update={"path": "products.csv"})}
    )
    found = list(read_catalogue(recipe.model_copy(update={"retrieval": settings})))
    assert [document.metadata for document in found] == [
        {"price": 19.9, "brand": "1800", "stock": True},
        {"price": 5, "brand": "Acme", "stock": False},
        {"brand": "007"},
    ]


def test_without_an_id_column_the_id_is_made_of_the_text(tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(1), product(2)], "retrieval.catalogue.id=null")
    first, second = (document.id for document in read_catalogue(recipe))
    assert first != second
    assert len(first) == 16


def test_a_limit_takes_the_first(tmp_path: Path) -> None:
    recipe = shop(tmp_path, [product(n) for n in range(9)], "retrieval.catalogue.limit=4")
    assert [document.id for document in read_catalogue(recipe)] == ["p0", "p1", "p2", "p3"]

"""The catalogue as documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rag_runs import product, shop, write_catalogue

from rag.catalogue import Reading, read_catalogue
from rag.index_report import IndexReport
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


def in_file(tmp_path: Path, name: str, *overrides: str) -> Reading:
    """A reading of `name` in the place of the catalogue."""
    return Reading(shop(tmp_path, [product(1)], f"retrieval.catalogue.path={name}", *overrides))


CELLS = (
    "id,title,description,price,brand,stock,link\n",
    "1,A,,19.90,3M,,\n",
    '2,B,,"35,00",1800,,\n',
    "3,C,,5,Acme,,\n",
)


def test_a_cell_that_makes_words_of_a_column_of_numbers_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "products.csv").write_text("".join(CELLS), encoding="utf-8")
    found = [document.metadata for _, document in in_file(tmp_path, "products.csv").documents()]
    assert [one["price"] for one in found] == ["19.90", "35,00", "5"]
    (said,) = capsys.readouterr().err.splitlines()
    assert "products.csv:3: price holds '35,00', which is no number: the whole column is taken as words" in said


def test_what_a_table_calls_no_number_is_empty(tmp_path: Path) -> None:
    import math

    import pyarrow
    import pyarrow.parquet

    rows = [product(1), product(2) | {"id": math.nan}, product(3, title=math.nan), product(4)]
    table = {name: [row[name] for row in rows] for name in ("description", "brand", "stock", "price")}
    table |= {"id": [1.0, math.nan, 3.0, 4.0], "title": [1.5, 2.5, math.nan, 4.5], "link": [math.nan] * 4}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "products.parquet")
    reading = in_file(tmp_path, "products.parquet")
    found = [document for _, document in reading.documents()]
    assert [(one.id, one.title, one.link) for one in found] == [("1", "1.5", None), ("3", "", None), ("4", "4.5", None)]
    assert reading.rejected == {"no id": 1}


def test_a_parquet_files_dates_and_exact_numbers_are_metadata(tmp_path: Path) -> None:
    from datetime import date, datetime
    from decimal import Decimal

    import pyarrow
    import pyarrow.parquet

    table = {name: [product(1)[name]] for name in ("id", "title", "description", "link")}
    table |= {"price": [Decimal("19.90")], "brand": [date(2026, 11, 21)], "stock": [datetime(2026, 11, 21, 9, 30)]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "products.parquet")
    ((_, document),) = in_file(tmp_path, "products.parquet").documents()
    assert document.metadata == {"price": 19.9, "brand": "2026-11-21", "stock": "2026-11-21T09:30:00"}


@pytest.mark.parametrize("nothing", ["n/a", "NA", "None", "null", "NaN", "-", "--", "?", "Unknown"])
def test_a_cell_that_says_there_is_no_value_leaves_a_column_of_numbers(tmp_path: Path, nothing: str) -> None:
    text = f"id,title,description,price,brand,stock,link\n1,A,,7.00,{nothing},,\n2,B,,{nothing},3M,,\n3,C,,24.50,,,\n"
    (tmp_path / "products.csv").write_text(text, encoding="utf-8")
    found = [document.metadata for _, document in in_file(tmp_path, "products.csv").documents()]
    assert found == [{"price": 7}, {"brand": "3M"}, {"price": 24.5}]
    (typed,) = read_catalogue(shop(tmp_path, [product(1, price=nothing)]))
    assert "price" not in typed.metadata


def test_a_whole_number_is_shown_without_a_point(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(
        "id,title,description,price,brand,stock,link\n1,A,,54.00,,,\n2,B,,24.50,,,\n", encoding="utf-8"
    )
    found = [*in_file(tmp_path, "products.csv").documents()]
    assert [str(document.metadata["price"]) for _, document in found] == ["54", "24.5"]
    (typed,) = read_catalogue(shop(tmp_path, [product(1, price=54.0)]))
    assert str(typed.metadata["price"]) == "54"


def test_a_number_is_shown_as_the_catalogue_writes_it(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(
        "id,title,description,price,brand,stock,link\n1,A,,24.50,,,\n2,B,,54.00,,,\n3,C,,7.0,,,\n4,D,,+1.10,,,\n",
        encoding="utf-8",
    )
    found = [document for _, document in in_file(tmp_path, "products.csv").documents()]
    assert [one.metadata["price"] for one in found] == [24.5, 54, 7, 1.1]
    assert [one.written for one in found] == [{"price": "24.50"}, {"price": "54.00"}, {}, {"price": "1.10"}]
    assert len({replace(found[0], written=written).digest("") for written in ({}, {"price": "24.500"})}) == 2


def test_items_of_a_list_are_lines(tmp_path: Path) -> None:
    text = "<p>A kettle.</p><ul><li>Holds <b>2</b> l</li><li>Red</li></ul>"
    (document,) = read_catalogue(shop(tmp_path, [product(1, title="Red<br>kettle", description=text)]))
    assert document.fields == {"title": "Red kettle", "description": "A kettle.\nHolds 2 l\nRed"}
    (document,) = read_catalogue(shop(tmp_path, [product(1, description=["Holds 2 l", "Red"])]))
    assert document.body == "Holds 2 l\nRed"


def test_links_that_nobody_is_shown_are_told_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    links = ("https://shop.example/1", "shop.example/2", "javascript:alert(1)", None)
    reading = Reading(shop(tmp_path, [product(number, link=link) for number, link in enumerate(links)]))
    assert len(list(reading.documents())) == 4 and reading.dropped_links == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "products.jsonl:2: the link 'shop.example/2' is not shown" in said
    assert IndexReport(dropped_links=2).sentence().endswith("; 2 links not shown, being no web address")

"""python -m rag index and search, as a user starts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_runs import RECIPE, WordEmbedder, product, shop, without_model, write_catalogue

from rag.__main__ import main
from recipes.errors import AskError, RunError
from recipes.runs import RunFolder


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What names the recipe and its run folder."""
    without_model(monkeypatch)
    monkeypatch.setattr("rag.embedder.open_embedder", WordEmbedder)
    shop(tmp_path, [product(n) for n in range(20)])
    return [str(tmp_path / "shop.yaml"), "--run", str(tmp_path / "run")]


def test_index_says_what_it_did(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", *arguments]) == 0
    said = capsys.readouterr().err
    assert "index: it has not run yet" in said
    assert "index: 20 documents in 20 pieces: 20 added, 0 changed, 0 removed, 0 unchanged" in said


def test_search_brings_the_index_up_to_date_and_shows_passages(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *arguments, "lamp model 7 of 7 watts", "--top", "2"]) == 0
    captured = capsys.readouterr()
    assert "20 documents in 20 pieces" in captured.err
    lines = captured.out.splitlines()
    assert lines[0] == "[1] Lamp model 7"
    assert "p7 · price 7.5 · brand Borg · stock False" in lines[1]
    assert "https://shop.example/7" in captured.out
    assert "[2] " in captured.out
    assert "[3] " not in captured.out


@pytest.mark.parametrize("where", ["brand=Acme price<10", '{"brand": "Acme", "price": {"$lt": 10}}'])
def test_search_filters_and_speaks_json(arguments: list[str], capsys: pytest.CaptureFixture[str], where: str) -> None:
    assert main(["search", "--json", "--where", where, *arguments, "lamp"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["document"] for one in found} == {"p0", "p3", "p6", "p9"}
    assert {"title", "text", "score", "confidence", "answerable"} <= found[0].keys()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("prise<3", 'no metadata "prise"'), ('{"prise": 3}', 'no metadata "prise"'), ('{"price": ', "--where: "),
        ('{"price": {"$lt": "cheap"}}', "takes a number"), ("price", "is no condition"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_a_sentence(arguments: list[str], where: str, said: str) -> None:
    with pytest.raises(AskError) as caught:
        main(["search", *arguments, "lamp", "--where", where])
    assert said in str(caught.value)


def test_a_recipe_without_a_catalogue_is_told_so(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(RECIPE.partition("retrieval:")[0], encoding="utf-8")
    with pytest.raises(RunError, match="the recipe shop has no section retrieval"):
        main(["index", *arguments])


def test_a_second_indexing_is_refused(arguments: list[str], tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").lock(), pytest.raises(RunError, match="in use by another process"):
        main(["index", *arguments])


def test_search_while_somebody_reads_sees_what_is_new(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["index", *arguments])
    write_catalogue(tmp_path, [product(n) for n in range(30)])
    assert main(["search", *arguments, "lamp model 29 of 29 watts", "--top", "1"]) == 0
    assert "[1] Lamp model 29" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["shop.yaml"], ["search", "r.yaml", " "], ["search", "r.yaml", "x", "--top", "0"]]
)
def test_what_is_no_command_is_a_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: python -m rag" in capsys.readouterr().err


def test_thoughts_that_the_recipe_hides_are_not_asked_for(arguments: list[str]) -> None:
    with pytest.raises(AskError, match=r"--thinking: .*--set assistant\.thoughts=show"):
        main(["chat", *arguments, "--thinking", "--set", "assistant.thoughts=hide"])

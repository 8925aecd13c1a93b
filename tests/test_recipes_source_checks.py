"""A source against its file: a file that is a link, and what is said of a file once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipe_files import write_recipe

from recipes.load import load_recipe
from recipes.source import Source
from recipes.source_checks import source_mistakes
from recipes.tables import read_table

UNTOLD = '<sentences><sentence id="1"><text>The soup was great</text></sentence></sentences>'


def test_a_link_is_of_the_kind_that_its_own_name_says(tmp_path: Path) -> None:
    """As a cache of the Hub, DVC and git-annex keep files: under a digest."""
    path, rows = write_recipe(tmp_path), tmp_path / "texts.jsonl"
    (tmp_path / "blobs").mkdir()
    rows.rename(tmp_path / "blobs" / "abc123")
    link(rows, tmp_path / "blobs" / "abc123")
    recipe = load_recipe(path)
    assert len(list(read_table(recipe.resolve("texts.jsonl")))) == 30


def test_a_link_to_a_file_with_an_ending_is_what_the_file_is(tmp_path: Path) -> None:
    path, rows = write_recipe(tmp_path), tmp_path / "texts.jsonl"
    link(tmp_path / "latest", rows)
    assert len(list(read_table(load_recipe(path).resolve("latest")))) == 30


def link(path: Path, to: Path) -> None:
    try:
        path.symlink_to(to)
    except OSError:
        pytest.skip("no links may be made here")


@pytest.mark.parametrize(("task", "said"), [("atsa", 1), ("understanding", 0)])
def test_answers_are_asked_for_only_where_they_are_learnt(tmp_path: Path, task: str, said: int) -> None:
    (tmp_path / "set.xml").write_text(UNTOLD, encoding="utf-8")
    found = list(source_mistakes(Source(path="set.xml", test=0), tmp_path, None, task))
    assert len([message for _, message in found if "name the file with the answers" in message]) == said


def test_a_row_without_gold_tuples_is_named(tmp_path: Path) -> None:
    rows = [{"text": "a", "aspects": []}, {"text": "b", "aspects": None}, {"text": "c"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = Source(path="rows.jsonl", text="text", aspects="aspects", test=0)
    ((where, message),) = source_mistakes(source, tmp_path, None, "atsa")
    assert where == ("source", "aspects")
    assert message == "row 3 of rows.jsonl has no 'aspects': write [] where a text has no tuples"

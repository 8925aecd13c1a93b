"""The label column of a file against the labels of its recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipe_files import ROWS, write_recipe

from recipes.__main__ import main
from recipes.label_checks import label_mistakes
from recipes.source import Source

LABELS = ("staff", "place")


def test_a_list_of_labels_is_told_from_a_label_that_wants_a_name() -> None:
    source = Source(path="rows.jsonl", text="text", label="labels")
    ((where, message),) = label_mistakes(source, ["staff", ["staff", "place"]], LABELS)
    assert where == ("source", "label")
    assert message.startswith("the column 'labels' holds a list in row 2: a text has one human label")
    assert "label_names" not in message


def test_labels_that_the_recipe_lacks_are_said_and_are_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path)
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: ok\n"
    labels = ("mixed", 7, 7.0, " ", "&nbsp;")
    more = "".join(json.dumps({"text": f"more {n}", "label": label}) + "\n" for n, label in enumerate(labels))
    (tmp_path / "texts.jsonl").write_text(ROWS + more, encoding="utf-8")
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(
        f"{path}: ok; source.label: 3 of the first 35 rows hold what is none of the labels ('7', 'mixed') and"
    )

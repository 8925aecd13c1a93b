"""The sample reviews: gold terms stand where the rows say, and no gold sentence is read before it is asked about."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from recipes.aspects import category_text
from recipes.load import load_recipe

ROOT = Path(__file__).parent.parent / "recipes"
GOLD = ("reviews-atsa", "reviews-acsa", "reviews-sentiment")


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_terms_stand_where_the_rows_say() -> None:
    for row in rows_of("reviews-atsa"):
        for told in row["aspects"]:
            assert row["text"][told["start"] : told["end"]] == told["target"], row["id"]


def test_a_category_has_one_polarity_a_sentence() -> None:
    for row in rows_of("reviews-acsa"):
        categories = [category_text(one["category"]) for one in row["aspects"]]
        assert len(set(categories)) == len(categories), row["id"]


@pytest.mark.parametrize("name", GOLD)
def test_no_gold_sentence_stands_twice_or_in_a_review(name: str) -> None:
    gold = [plain(row["text"]) for row in rows_of(name)]
    assert len(set(gold)) == len(gold)
    read = " | ".join(plain(row["text"]) for row in rows_of("reviews"))
    assert [text for text in gold if text in read] == []


def test_enough_is_held_out_to_see_a_student_learn() -> None:
    recipe = load_recipe(ROOT / "quickstart-reviews.yaml")
    assert [recipe.datasets[name].source.test for name in ("terms", "categories")] == [40, 40]
    plain_one, distilled = recipe.seq2seq("terms-alone"), recipe.seq2seq("terms")
    shared = {"base": distilled.base, "scratch": distilled.scratch}
    assert plain_one.model_copy(update=shared) == distilled
    assert plain_one.scratch == recipe.seq2seq("understanding").scratch

"""evaluation of recipes with seq2seq students: which names and metrics there are, and what there is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.errors import RecipeError
from recipes.evaluation import GENERATIVE_METRICS, TUPLE_METRICS
from recipes.load import load_recipe

RECIPE = """
name: dishes
task: atsa
source: {path: rows.jsonl, text: text, aspects: aspects}
students:
  small: {kind: seq2seq, base: scratch}
evaluation: EVALUATION
"""
ROW = {"text": "The soup is good", "aspects": [{"target": "soup", "polarity": "positive", "start": 4, "end": 8}]}


def mistakes(folder: Path, evaluation: str, name: str = "small") -> list[str]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(ROW) + "\n" for _ in range(9)), encoding="utf-8")
    path = folder / "dishes.yaml"
    path.write_text(RECIPE.replace("EVALUATION", evaluation).replace("small:", f"{name}:"), encoding="utf-8")
    try:
        load_recipe(path)
    except RecipeError as error:
        return error.mistakes
    return []


def test_students_and_baselines_are_known(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "{models: [small, lexicon], metrics: [f1, invalid, speed]}") == []


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ("{models: [smal]}", "there is no model smal; did you mean small?"),
        ("{models: [teacher]}", "there is no model teacher"),
        ("{metrics: [perplexity]}", "perplexity cannot be had for task: atsa; there is f1, precision"),
        ("{models: [small, small]}", "small stands twice"),
        (
            "{judge: {provider: endpoint, model: m, base_url: 'http://127.0.0.1:9/v1'}}",
            "a judge compares generated answers: it does not go with task: atsa",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, evaluation: str, said: str) -> None:
    found = mistakes(tmp_path, evaluation)
    assert any(said in line and "dishes.yaml:7" in line for line in found), found


def test_a_student_is_not_named_as_a_baseline(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, "{}", name="lexicon")
    assert "lexicon is what the report calls another model" in line


def test_every_metric_has_a_head() -> None:
    from eval.tuple_measures import meaning

    assert all(meaning(name)[0] for name in TUPLE_METRICS)
    assert "perplexity" in GENERATIVE_METRICS and "perplexity" not in TUPLE_METRICS

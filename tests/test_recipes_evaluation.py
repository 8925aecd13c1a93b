"""The section `evaluation` of a generative recipe: who can be compared, by what, and judged by whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_files import write_recipe

from recipes.errors import RecipeError
from recipes.load import load_recipe

GENERATIVE = """\
name: small
task: description
source:
  path: texts.jsonl
  fields: {title: text, description: label}
students:
  tiny:
    kind: causal
    base: org/model
    format: alpaca
  made:
    kind: causal
    base: scratch
    format: alpaca
    lora: null
    quantization: none
evaluation:
  models: [reference, tiny, base of tiny, made]
"""
JUDGE = "evaluation:\n  judge: {provider: endpoint, model: m, base_url: 'http://127.0.0.1:9/v1'}\n"


def told(folder: Path, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(RecipeError) as refused:
        load_recipe(write_recipe(folder, *changes, text=GENERATIVE))
    return [line.partition("r.yaml:")[2] for line in refused.value.mistakes]


def test_the_good_recipe_loads(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, ("evaluation:\n", JUDGE), text=GENERATIVE))
    assert recipe.evaluation.models == ("reference", "tiny", "base of tiny", "made")
    judge = recipe.evaluation.judge
    assert judge is not None
    assert (judge.temperature, judge.against, judge.address()) == (0.0, ("teacher", "base"), "http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("teacher", "there is no model teacher; there is reference, tiny, made, base of tiny"),
        ("base of tony", "there is no model base of tony; did you mean base of tiny?"),
        ("base of made", "a student without an adapter (lora: null) has no base to compare with"),
        ("vader", "there is no model vader; there is reference, tiny, made, base of tiny"),
        ("tiny", "tiny stands twice"),
    ],
)
def test_who_cannot_be_compared(tmp_path: Path, model: str, sentence: str) -> None:
    assert told(tmp_path, ("tiny, base of tiny, made]", f"tiny, {model}]")) == [f"18: evaluation.models.2: {sentence}"]


def test_metrics_belong_to_their_task(tmp_path: Path) -> None:
    (line,) = told(tmp_path, ("evaluation:\n", "evaluation:\n  metrics: [rouge_l, accuracy]\n"))
    assert line.startswith("18: evaluation.metrics.1: accuracy cannot be had for task: description; there is rouge_l,")


def test_a_paid_judge_needs_a_price_and_a_cap(tmp_path: Path) -> None:
    lines = told(tmp_path, ("evaluation:\n", "evaluation:\n  judge: {provider: openai, model: m}\n"))
    assert [line.split(" is missing")[0] for line in lines] == [
        "18: evaluation.judge.price:",
        "18: evaluation.judge.budget_usd:",
    ]


@pytest.mark.parametrize(
    ("judge", "sentence"),
    [
        ("{provider: none, model: m}", "evaluation.judge.provider: a judge must be somebody"),
        ("{provider: endpoint, model: m}", "evaluation.judge: an endpoint needs base_url"),
        ("{provider: recorded, model: m, journal: j.jsonl}", "evaluation.judge.journal: there is no file"),
        ("{provider: endpoint, model: m, base_url: 'http://169.254.169.254/v1'}", "evaluation.judge.base_url: "),
    ],
)
def test_a_judge_must_be_somebody(tmp_path: Path, judge: str, sentence: str) -> None:
    (line,) = told(tmp_path, ("evaluation:\n", f"evaluation:\n  judge: {judge}\n"))
    assert line.startswith(f"18: {sentence}")


def test_a_judge_does_not_go_with_labels(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="it does not go with task: classify"):
        load_recipe(write_recipe(tmp_path, ("students:", f"{JUDGE}students:")))


def test_a_judges_prompt_must_show_both_answers(tmp_path: Path) -> None:
    def with_prompt(text: str) -> list[str]:
        (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
        judge = "{provider: endpoint, model: m, base_url: 'http://127.0.0.1:9/v1', prompt: p.yaml}"
        path = write_recipe(tmp_path, ("evaluation:\n", f"evaluation:\n  judge: {judge}\n"), text=GENERATIVE)
        with pytest.raises(RecipeError) as refused:
            load_recipe(path)
        return refused.value.mistakes

    (line,) = with_prompt("version: 1\nuser: '{question} {answer_a}'\nanswer: {kind: json, label: verdict}\n")
    assert line.endswith("p.yaml: user: {answer_b} is missing: the judge would never see it")
    (line,) = with_prompt("version: 1\nuser: '{question} {answer_a} {answer_b} {x}'\nanswer: {kind: json}\n")
    assert "there is no field {x} in a row" in line
    (line,) = told(tmp_path, ("evaluation:\n", JUDGE.replace("}", ", prompt: q.yaml}")))
    assert line.startswith("18: evaluation.judge.prompt: there is no file ")

"""The memory plan of a recipe: `python -m recipes plan --device`, and what is refused before a teacher is paid."""

from __future__ import annotations

import json

import pytest

from recipes import memory_plan
from recipes.__main__ import main
from recipes.devices import card
from recipes.errors import RecipeError
from recipes.load import load_recipe

RECIPE = """
name: products
task: description
source: {path: products.jsonl, fields: {title: title, description: content}}
students:
  big: {kind: causal, base: unsloth/llama-3-8b-bnb-4bit, format: alpaca, instruction: Describe.}
  next: {kind: causal, base: students.big, format: alpaca, instruction: Describe., max_length: 1536}
  small: {kind: causal, base: scratch, lora: null, quantization: none, format: alpaca, instruction: Describe.}
"""


@pytest.fixture
def recipe(tmp_path):
    rows = [{"title": f"Product {place}", "content": f"It is the number {place} of all."} for place in range(20)]
    (tmp_path / "products.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "r.yaml"


def test_the_plan_of_a_named_card_needs_no_card_and_no_weights(recipe, capsys):
    assert main(["plan", str(recipe), "--device", "t4"]) == 0
    shown = capsys.readouterr().out
    assert "big: unsloth/llama-3-8b-bnb-4bit, 8.03B parameters, by unsloth on T4: 14.5 GiB usable, fp16" in shown
    assert "an estimate: not confirmed on a GPU" in shown
    assert "without unsloth: micro-batch 4 x 2 accumulated" in shown
    assert "next: unsloth/llama-3-8b-bnb-4bit" in shown  # the dimensions of what it starts from
    assert "small: scratch, about 1." in shown


def test_what_does_not_fit_is_refused_with_the_setting_to_change(recipe, capsys):
    assert main(["plan", str(recipe), "--device", "rtx4060", "--set", "students.big.backend=plain"]) == 0
    shown = capsys.readouterr().out
    assert "does not fit: one row of 2,048 tokens at once takes" in shown
    assert "set backend to unsloth, or max_length to" in shown


def test_an_unknown_device_is_one_sentence(recipe):
    with pytest.raises(RecipeError, match=r"--device rtx4061: no such device; did you mean rtx4060\?"):
        main(["plan", str(recipe), "--device", "rtx4061"])


def test_refusals_are_those_of_this_machines_gpu(recipe, monkeypatch):
    made = load_recipe(recipe, ["students.big.backend=plain", "students.next.backend=plain"])
    monkeypatch.setattr(memory_plan, "this_device", lambda: card("RTX 4060", 8188, True))
    assert [line.partition(":")[0] for line in memory_plan.memory_refusals(made, ["big", "next", "small"])] == [
        "students.big", "students.next"
    ]  # fmt: skip
    stands = load_recipe(recipe, ["students.big.backend=plain", "students.big.micro_batch=1",
                                  "students.big.gradient_checkpointing='on'"])  # fmt: skip
    assert memory_plan.memory_refusals(stands, ["big"]) == []
    monkeypatch.setattr(memory_plan, "this_device", lambda: card("H100", 81559, True))
    assert memory_plan.memory_refusals(made, ["big", "next", "small"]) == []


def test_unsloth_that_a_recipe_asks_for_needs_a_gpu(recipe, capsys):
    assert main(["plan", str(recipe), "--device", "cpu", "--set", "students.big.backend=unsloth"]) == 0
    assert (
        "big: no memory plan: backend: unsloth needs a CUDA GPU, and CPU is none; name one with --device"
        in capsys.readouterr().out
    )


def test_a_base_that_is_not_known_is_said_to_be(recipe, capsys):
    assert main(["plan", str(recipe), "--device", "t4", "--set", "students.big.base=nobody/nothing"]) == 0
    assert "big: no memory plan: the config.json of nobody/nothing is not on this disk" in capsys.readouterr().out

"""Unsloth's way, with a module in its place that notes what it is asked: no machine here can run the real one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_causal
import torch
from tiny_llama import make_llama

from finetune import causal_plan, processes, train
from finetune.adapters import adapter_effect, load_model
from finetune.bases import Base
from finetune.causal_lessons import CausalLesson
from finetune.causal_record import read_causal_record
from finetune.course import CausalCourse
from finetune.hardware import Machine
from finetune.train import train_student
from finetune.unsloth_backend import import_first, load_unsloth, uses_unsloth
from recipes.errors import TrainingError
from recipes.schema import Recipe
from recipes.students import CausalStudent

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "rslora": True, "targets": ["q_proj", "v_proj"]}
UNSLOTH = """
import os
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

print("a greeting")
CALLS = []

class FastLanguageModel:
    @staticmethod
    def from_pretrained(**options):
        CALLS.append(options)
        assert os.environ.get("HF_TOKEN") == options["token"]  # else the real one logs in, and writes it to the disk
        return AutoModelForCausalLM.from_pretrained(options["model_name"], dtype=torch.float32), None

    @staticmethod
    def get_peft_model(model, **options):
        CALLS.append(options)
        config = LoraConfig(
            r=options["r"], lora_alpha=options["lora_alpha"], lora_dropout=options["lora_dropout"],
            target_modules=options["target_modules"], use_rslora=options["use_rslora"], bias=options["bias"],
        )
        return get_peft_model(model, config)
"""


@pytest.fixture
def unsloth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a package `unsloth`."""
    place = tmp_path / "packages"
    (place / "unsloth").mkdir(parents=True)
    (place / "unsloth" / "__init__.py").write_text(UNSLOTH, encoding="utf-8")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    return place


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU as far as torch.cuda is asked whether there is one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def student(**settings: Any) -> CausalStudent:
    usual = {"base": "b", "quantization": "nf4", "lora": LORA, "precision": "auto"}
    return tiny_causal.make_recipe(a=usual | settings).causal("a")


REFUSALS = [
    ({"lora": None, "quantization": "none"}, "it trains adapters here, and lora is null"),
    ({"packing": "packed"}, "its attention does not keep packed rows apart"),
    ({"precision": "fp32"}, "it trains in 16 bits, and precision is fp32"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSALS)
def test_what_it_cannot_train_is_refused_where_it_is_asked_for(
    settings: dict[str, Any], reason: str, unsloth: Path, gpu: None
) -> None:
    assert not uses_unsloth(student(**settings))
    with pytest.raises(TrainingError, match=f"backend: unsloth cannot be used: {reason}; set backend: auto"):
        uses_unsloth(student(**settings, backend="unsloth"))


def test_where_it_can_be_used(unsloth: Path, gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uses_unsloth(student())
    assert uses_unsloth(student(backend="unsloth"))
    assert not uses_unsloth(student(backend="plain"))
    monkeypatch.setattr(processes, "count", lambda: 2)
    assert not uses_unsloth(student())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="cannot be used: this machine has no CUDA GPU"):
        uses_unsloth(student(backend="unsloth"))


def test_it_is_imported_before_what_it_changes_and_greets_on_stderr(
    unsloth: Path, gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (unsloth / "unsloth" / "__init__.py").write_text("print('a greeting')", encoding="utf-8")
    recipe = tiny_causal.make_recipe(
        plain={"base": "b", "lora": LORA, "backend": "plain"}, fast={"base": "b", "lora": LORA, "precision": "auto"}
    )
    import_first(recipe, ["plain"])
    assert "unsloth" not in sys.modules
    import_first(recipe, ["plain", "fast"])
    assert "unsloth" in sys.modules
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "a greeting\n")


def test_it_is_told_what_the_recipe_says(unsloth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HF_TOKEN=hf_secret", encoding="utf-8")
    folder = make_llama(tmp_path / "base")
    base, none = Base("me/base", str(folder), "me/base", "abc123"), CausalLesson([], [], [])
    for checkpointing, kept in ((True, "unsloth"), (False, False)):
        taught = student(max_length=100)
        course = CausalCourse("a", taught, 7, base, None, none, none, Machine("cuda", "bf16", ""), "", "a")  # type: ignore[arg-type]
        model = load_unsloth(course, checkpointing)
        loading, adapting = sys.modules["unsloth"].CALLS[-2:]
        assert loading == {
            "model_name": str(folder), "revision": "abc123", "token": "hf_secret", "max_seq_length": 104,
            "dtype": torch.bfloat16, "load_in_4bit": True, "trust_remote_code": False, "use_exact_model_name": True,
            "use_gradient_checkpointing": kept,
        }  # fmt: skip
        assert adapting == {
            "r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["q_proj", "v_proj"], "use_rslora": True,
            "bias": "none", "random_state": 7, "max_seq_length": 104,
            "use_gradient_checkpointing": kept,
        }  # fmt: skip
        assert {name.split(".")[-4] for name, weight in model.named_parameters() if weight.requires_grad} == {
            "q_proj", "v_proj"
        }  # fmt: skip
        assert "HF_TOKEN" not in os.environ


def test_rows_beyond_the_bases_positions_are_refused_not_stretched(unsloth: Path, tmp_path: Path) -> None:
    base = Base("b", str(make_llama(tmp_path / "base")), None, None)
    none, machine = CausalLesson([], [], []), Machine("cuda", "bf16", "")
    course = CausalCourse("a", student(max_length=512), 7, base, None, none, none, machine, "", "a")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="max_length 512 is more than b takes: set it to 256 or less"):
        load_unsloth(course, checkpointing=True)


def test_a_student_is_trained_with_what_it_gives(
    unsloth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From rows to the saved adapter: grouped rows, no checkpointing of transformers, and a record that says so."""
    monkeypatch.setattr(causal_plan, "uses_unsloth", lambda student: True)
    monkeypatch.setattr(train, "import_first", lambda recipe, names: None)
    run = tiny_causal.make_run(tmp_path / "run", train=16, validation=4)
    recipe: Recipe = tiny_causal.make_recipe(
        a={"base": str(make_llama(tmp_path / "base")), "lora": LORA, "precision": "bf16", "backend": "unsloth",
           "gradient_checkpointing": "on", "rows": "description", "epochs": 1}
    )  # fmt: skip
    train_student(recipe, "a", run)
    seed = read_causal_record(run, "a").seeds[3407]
    assert (seed.backend, seed.packed, seed.gradient_checkpointing) == ("unsloth", False, True)
    assert sys.modules["unsloth"].CALLS[-1]["use_gradient_checkpointing"] == "unsloth"
    model, _ = load_model(run.student("a", 3407))
    assert adapter_effect(model) > 0

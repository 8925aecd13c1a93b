"""What the Trainer is told of a recipe, and the optimizer where its states cannot be in 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import tiny_causal

from finetune.bases import Base
from finetune.causal_arguments import eight_bits_work, sft_config
from finetune.causal_lessons import CausalLesson
from finetune.causal_plan import Plan
from finetune.course import CausalCourse
from finetune.hardware import Machine

LORA = {"base": "b", "quantization": "nf4", "lora": {"rank": 4, "alpha": 8}}


def course(**student: Any) -> CausalCourse:
    taught, none = tiny_causal.make_recipe(a=student).causal("a"), CausalLesson([], [], [])
    base, machine = Base("b", "b", None, None), Machine("cpu", "bf16", "")
    return CausalCourse("a", taught, 5, base, None, none, none, machine, "", "student a")  # type: ignore[arg-type]


def told(folder: Path, plan: Plan, **student: Any) -> Any:
    return sft_config(course(**student), plan, folder / "my-run" / "students" / "a" / "checkpoints" / "seed-5")


def test_the_recipe_in_the_trainers_words(tmp_path: Path) -> None:
    given = {"learning_rate": 1e-4, "weight_decay": 0.02, "max_grad_norm": 0.3, "epochs": 7, "warmup": 0.25}
    found = told(tmp_path, Plan(2, True), **given, schedule="constant", optimizer="adamw_8bit")
    assert (found.learning_rate, found.weight_decay, found.max_grad_norm) == (1e-4, 0.02, 0.3)
    assert (found.num_train_epochs, found.warmup_steps, found.lr_scheduler_type) == (7, 0.25, "constant_with_warmup")
    assert (found.optim, found.bf16, found.fp16, found.use_cpu, found.seed) == ("adamw_8bit", True, False, True, 5)
    assert (found.gradient_checkpointing, found.loss_type, found.report_to) == (True, "chunked_nll", [])
    assert (found.per_device_train_batch_size, found.gradient_accumulation_steps) == (1, 1)  # an item is a whole step
    assert (found.run_name, found.project) == ("a-seed-5", "my-run")


def test_unsloth_has_a_checkpointing_and_a_loss_of_its_own(tmp_path: Path) -> None:
    found = told(tmp_path, Plan(2, True, "unsloth"), **LORA)
    assert (found.gradient_checkpointing, found.loss_type) == (False, "nll")


def test_the_loss_of_an_adapted_head_is_not_in_chunks(tmp_path: Path) -> None:
    head = LORA | {"lora": {"rank": 4, "alpha": 8, "targets": ["lm_head"]}}
    assert told(tmp_path, Plan(2, False), **head).loss_type == "nll"
    assert told(tmp_path, Plan(2, False), **LORA).loss_type == "chunked_nll"


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, AttributeError, ValueError])
def test_where_8_bits_cannot_be_it_is_said_and_adamw_taken(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert eight_bits_work(course())
    assert capsys.readouterr().err == ""

    def cannot(self: object) -> None:
        raise error("no such kernel")

    monkeypatch.setattr(bitsandbytes.optim.AdamW8bit, "step", cannot)
    assert told(tmp_path, Plan(2, False), optimizer="adamw_8bit").optim == "adamw_torch_fused"
    said = "student a: 8-bit AdamW cannot run on the cpu: AdamW instead, four times its size\n"
    assert capsys.readouterr().err == said
    assert told(tmp_path, Plan(2, False), optimizer="adamw").optim == "adamw_torch_fused"
    assert capsys.readouterr().err == ""  # nobody asked for 8 bits

"""What goes through the model at once, on GPUs that this machine does not have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_causal
import torch
from transformers import GPT2Config, LlamaConfig

from finetune import processes
from finetune.bases import Base
from finetune.causal_lessons import CausalLesson
from finetune.causal_plan import Plan, largest_divisor, plan_training, this_gpu
from finetune.course import CausalCourse
from finetune.hardware import Machine
from recipes.devices import GIB
from recipes.errors import TrainingError

LLAMA3 = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
          "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
QLORA = {"quantization": "nf4", "lora": {"rank": 32, "alpha": 32}, "max_length": 2048, "optimizer": "adamw_8bit",
         "backend": "plain", "precision": "auto"}  # fmt: skip


def course(folder: Path, precision: Any = "bf16", config: Any = None, **student: Any) -> CausalCourse:
    """A course on an 8B Llama of which there is the config alone."""
    (config or LlamaConfig(**LLAMA3)).save_pretrained(folder)
    taught = tiny_causal.make_recipe(a={"base": "big"} | QLORA | student).causal("a")
    none, tokenizer = CausalLesson([], [], []), None
    base, machine = Base("big", str(folder), None, None), Machine("cuda", precision, "a GPU")
    return CausalCourse("a", taught, 1, base, tokenizer, none, none, machine, "", "student a")  # type: ignore[arg-type]


def pretend(
    patch: pytest.MonkeyPatch, total: float, free: float | None = None, reserved: float = 0, allocated: float = 0
) -> None:
    """A GPU with so many GiB."""
    patch.setattr(torch.cuda, "get_device_name", lambda: "Pretended GPU")
    free = total - reserved - 0.4 if free is None else free  # 0.4: what CUDA takes
    patch.setattr(torch.cuda, "mem_get_info", lambda: (int(free * GIB), int(total * GIB)))
    patch.setattr(torch.cuda, "memory_reserved", lambda: int(reserved * GIB))
    patch.setattr(torch.cuda, "memory_allocated", lambda: int(allocated * GIB))


def test_what_others_hold_is_not_ours_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 24.0)
    assert (this_gpu(True).usable, this_gpu(True).bf16, this_gpu(False).bf16) == (24.0, True, False)
    assert this_gpu(True).name == "Pretended GPU"
    pretend(monkeypatch, 24.0, free=13.5)
    assert this_gpu(True).usable == 14.0
    pretend(monkeypatch, 24.0, reserved=6.0, allocated=0.0)  # a model that is gone: torch gives its blocks again
    assert this_gpu(True).usable == 24.0
    pretend(monkeypatch, 24.0, reserved=6.0, allocated=5.0)  # one that is still there
    assert this_gpu(True).usable == pytest.approx(19.1)


def test_the_larger_the_gpu_the_more_goes_through_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = []
    for total in (10.0, 14.5, 40.0, 140.0):
        pretend(monkeypatch, total)
        plans.append(plan_training(course(tmp_path)))
        assert f"by plain on Pretended GPU: {total:.1f} GiB usable, bf16" in capsys.readouterr().err
    assert [plan.backend for plan in plans] == ["plain"] * 4
    assert [plan.checkpointing for plan in plans] == [True, True, False, False]
    assert plans[0].micro_batch < plans[1].micro_batch
    assert plans[2].micro_batch < plans[3].micro_batch == 8


def test_what_others_hold_may_be_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 24.0, free=7.0)
    with pytest.raises(TrainingError, match=r"student a: one row of 2,048 tokens at once takes .* has 7\.50; set .*; "
                       r"to try it all the same, name micro_batch and gradient_checkpointing"):  # fmt: skip
        plan_training(course(tmp_path))
    insists = course(tmp_path, micro_batch=4, gradient_checkpointing="on")
    assert plan_training(insists) == Plan(4, True)


def test_several_gpus_share_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 140.0)
    monkeypatch.setattr(processes, "count", lambda: 4)
    assert plan_training(course(tmp_path)).micro_batch == 2
    monkeypatch.setattr(processes, "count", lambda: 3)
    with pytest.raises(TrainingError, match="batch_size 8 cannot be shared by 3 processes"):
        plan_training(course(tmp_path))


def test_a_base_whose_memory_is_not_known_goes_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, 140.0)
    assert plan_training(course(tmp_path, config=GPT2Config())) == Plan(1, True)
    assert "one row at a time unless micro_batch says otherwise" in capsys.readouterr().err
    told = course(tmp_path, config=GPT2Config(), micro_batch=4, gradient_checkpointing="off")
    assert plan_training(told) == Plan(4, False)


def test_a_student_from_scratch_is_planned_by_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, 14.5)
    scratch = course(tmp_path, precision="fp16", base="scratch", quantization="none", lora=None, optimizer="adamw")
    assert plan_training(scratch) == Plan(8, False)
    assert "scratch, " in capsys.readouterr().err


def test_unsloth_is_planned_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, 7.6)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (tmp_path / "unsloth.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    plan = plan_training(course(tmp_path / "base", backend="auto", lora={"rank": 16, "alpha": 16}))
    assert (plan.backend, plan.checkpointing) == ("unsloth", True)
    assert "by unsloth on Pretended GPU: 7.6 GiB usable" in capsys.readouterr().err


def test_rows_at_once_deal_a_step_out_evenly() -> None:
    assert [largest_divisor(8, most) for most in (1, 3, 5, 8, 100)] == [1, 2, 4, 8, 8]
    assert largest_divisor(7, 6) == 1

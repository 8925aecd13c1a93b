"""Device and precision on machines that this one is not."""

from __future__ import annotations

import pytest
import torch

from finetune.hardware import find_machine
from recipes.errors import TrainingError


def pretend(patch: pytest.MonkeyPatch, gpu: tuple[int, int] | None = None, bf16_cpu: bool = False) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    patch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
    patch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    for feature in ("avx512_bf16", "amx_tile"):
        patch.setattr(torch.cpu, f"_is_{feature}_supported", lambda: bf16_cpu, raising=False)


@pytest.mark.parametrize(
    ("gpu", "bf16_cpu", "device", "precision"),
    [
        ((9, 0), False, "cuda", "bf16"),
        ((8, 0), False, "cuda", "bf16"),
        ((7, 5), False, "cuda", "fp16"),  # a T4 emulates bf16, slowly
        (None, True, "cpu", "bf16"),
        (None, False, "cpu", "fp32"),
    ],
)
def test_auto_takes_the_quickest(
    gpu: tuple[int, int] | None, bf16_cpu: bool, device: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, gpu, bf16_cpu)
    machine = find_machine()
    assert (machine.device, machine.precision) == (device, precision)
    assert machine.about.endswith(f" in {precision}")
    assert str(machine.dtype) == {"bf16": "torch.bfloat16", "fp16": "torch.float16", "fp32": "torch.float32"}[precision]


def test_what_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, (9, 0))
    assert find_machine("fp32").precision == "fp32"
    pretend(monkeypatch)
    assert find_machine("bf16").precision == "bf16"
    with pytest.raises(TrainingError, match="fp16 needs a CUDA GPU"):
        find_machine("fp16")


def test_a_torch_without_these_questions_is_an_old_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    for feature in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{feature}_supported")
    assert find_machine().precision == "fp32"


def test_what_is_launched_for_the_cpu_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, (9, 0))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert find_machine().device == "cpu"
    with pytest.raises(TrainingError, match="fp16 needs a CUDA GPU"):
        find_machine("fp16")

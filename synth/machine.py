"""What this machine is: the device that models run on here, and the number format that is quick there."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recipes.devices import Precision
from recipes.errors import TrainingError
from synth import processes

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "mps"]
DTYPES: dict[Precision, Literal["float32", "bfloat16", "float16"]] = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
}
"""Precision -> its name in torch and in a config.json."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, and the precision to compute in; while training the weights themselves stay in float32."""

    device: Device
    precision: Precision
    about: str

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        import torch

        found: torch.dtype = getattr(torch, DTYPES[self.precision])
        return found


def find_machine(precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto") -> Machine:
    """This machine, with the precision asked for; `auto` takes the quickest that trains well.

    Raises TrainingError for fp16 without a GPU: there is no loss scaling there, and no speed in it.
    """
    device = _device()
    if precision == "fp16" and device != "cuda":
        raise TrainingError("precision: fp16 needs a CUDA GPU and this machine has none; use auto, bf16 or fp32")
    chosen = _quickest(device) if precision == "auto" else precision
    return Machine(device, chosen, f"{_name(device)} in {chosen}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has a class of its own for this on a GPU alone."""
    signs = ("out of memory", "can't allocate memory", "Cannot allocate memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in signs)


def free_memory() -> None:
    """Give back what no model needs any more, the GPU's memory too: trainers and models refer to each other."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device() -> Device:
    import torch

    if not processes.on_cpu():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _quickest(device: Device) -> Precision:
    import torch

    if device == "cuda":
        # not torch.cuda.is_bf16_supported(): it says yes to cards that only emulate bf16, slowly
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    if device == "cpu" and _cpu_has("avx512_bf16", "amx_tile"):
        return "bf16"
    return "fp32"


def _cpu_has(*features: str) -> bool:
    """Whether the CPU has one of these instruction sets, as far as torch can tell."""
    import torch

    asked = (getattr(torch.cpu, f"_is_{feature}_supported", None) for feature in features)
    return any(supported() for supported in asked if supported is not None)


def _name(device: Device) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return "Apple GPU" if device == "mps" else f"CPU ({os.cpu_count()} cores)"

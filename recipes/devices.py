"""What a plan is made for: a card by name, a plain size, or this machine's CPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from recipes.errors import RecipeError
from recipes.schema_walk import nearest

Precision = Literal["bf16", "fp16", "fp32"]
GIB = 1 << 30

_DRIVER_KEEPS = 0.4
"""GiB between what nvidia-smi calls a card's memory and what a process can have of it (T4 15.0 -> 14.6)."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device. usable: GiB that a training process may take, None where that is not known.

    bf16: whether it is quick in bf16 (Ampere and later; CPUs with AMX or AVX-512 BF16). gpu: False for the CPU.
    """

    name: str
    usable: float | None
    bf16: bool = True
    gpu: bool = True

    @property
    def precision(self) -> Precision:
        """What students compute in on it where the recipe says auto."""
        if self.bf16:
            return "bf16"
        return "fp16" if self.gpu else "fp32"


DEVICES = {
    "t4": Device("T4", 14.5, bf16=False),
    "rtx4060": Device("RTX 4060", 7.6),
    "l4": Device("L4", 22.0),
    "a10g": Device("A10G", 22.0),
    "a100-40gb": Device("A100 40 GB", 39.4),
    "a100-80gb": Device("A100 80 GB", 79.1),
    "h100": Device("H100", 79.1),
    "h200": Device("H200", 139.5),
    "cpu": Device("CPU", None, bf16=False, gpu=False),
}
"""Cards by the name that `--device` takes, with what CUDA reports in all, or a little less."""
SIZES = ("8gb", "12gb", "16gb", "24gb", "40gb", "48gb", "80gb")
"""Plain sizes that the help names; any other number works as well. All of it counts as usable."""


def find_device(text: str) -> Device:
    """The device that `--device` names. Raises RecipeError with the nearest name for one that is not known."""
    word = re.sub(r"[\s_]+", "", text.casefold()).removeprefix("nvidia").removeprefix("geforce").removeprefix("tesla")
    if word in DEVICES:
        return DEVICES[word]
    size = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)(?:gb|gib|g)", word)
    if size is not None and float(size[1]) > 0:
        return Device(f"{float(size[1]):g} GB device", float(size[1]))
    known = [*DEVICES, *SIZES]
    near = " or ".join(name for name in known if word and name.startswith(word)) or nearest(word, known, 0.6)
    hint = f"did you mean {near}?" if near else f"there is {', '.join(known)}"
    raise RecipeError([f"--device {text}: no such device; {hint}"])


def card(name: str, memory: int, bf16: bool) -> Device:
    """A card of this machine. memory: MiB, as nvidia-smi tells it; 0 where it does not."""
    return Device(name, round(memory / 1024 - _DRIVER_KEEPS, 1) if memory else None, bf16)


def cpu(memory: int, bf16: bool = False) -> Device:
    """This machine's processor. memory: bytes of RAM, 0 where the system does not say."""
    return Device("CPU", round(memory / GIB, 1) if memory else None, bf16, gpu=False)

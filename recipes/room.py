"""What fits a device: the settings that are left open are settled by trying them, best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from recipes.architecture import Architecture
from recipes.devices import GIB, Device
from recipes.memory import memory_of
from recipes.settings import Settings

COMFORT = 0.9
"""Share of the device that a plan may fill without gradient checkpointing, where the recipe leaves that open: kept
activations are the largest figure and the least certain."""
_MOST_TOKENS = 1 << 24


def choices(wanted: Settings) -> Iterator[Settings]:
    """The settings with micro_batch and checkpointing settled: no checkpointing first, then the most rows at once."""
    size = wanted.batch_size
    rows = [number for number in range(size, 0, -1) if size % number == 0]
    for recompute in (False, True) if wanted.checkpointing is None else (wanted.checkpointing,):
        for number in rows if wanted.micro_batch is None else (wanted.micro_batch,):
            yield replace(wanted, micro_batch=number, checkpointing=recompute)


def settle(model: Architecture, wanted: Settings, device: Device) -> Settings | None:
    """The first of the choices that fits, None where none does."""
    for settings in choices(wanted):
        share = COMFORT if wanted.checkpointing is None and not settings.checkpointing else 1.0
        if device.usable is None or memory_of(model, settings).total <= share * device.usable * GIB:
            return settings
    return None


def least(model: Architecture, wanted: Settings) -> Settings:
    """Of the choices the one that takes the least memory."""
    return min(choices(wanted), key=lambda settings: memory_of(model, settings).total)


def longest(model: Architecture, wanted: Settings, device: Device) -> int:
    """Tokens of the longest row that fits at some micro-batch; 0 where none does."""
    low, high = 0, _MOST_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if settle(model, replace(wanted, max_length=middle), device) is None:
            high = middle - 1
        else:
            low = middle
    return low

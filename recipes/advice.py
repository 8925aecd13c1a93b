"""Which setting to change, and to what, where a training does not fit a device. Every advice has been tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce

from recipes.architecture import Architecture
from recipes.devices import GIB, Device
from recipes.memory import memory_of
from recipes.room import least, longest, settle
from recipes.settings import Settings

SHORTEST = 128
"""Tokens under which no max_length is advised: a prompt alone needs as much."""
LOWEST_RANK = 8
"""Rank under which none is advised."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a recipe: as it is written there, and what it does to the settings."""

    said: str
    make: Callable[[Settings], Settings]


def advice(model: Architecture, wanted: Settings, device: Device) -> str:
    """What to do: any one of the changes that are enough alone, else those that are enough together."""

    def fits(changes: list[Change]) -> bool:
        return settle(model, _changed(wanted, changes), device) is not None

    changes, ranks = _changes(model, wanted), _ranks(wanted)
    alone = [change.said for change in changes if fits([change])]
    alone += [rank.said for rank in ranks if fits([rank])][:1]
    alone += [change.said for change in _shorter(model, wanted, device)]
    if alone:
        return f"set {', or '.join(alone)}"
    sets = [changes, *([*changes, rank] for rank in ranks)]  # the rank goes down last, and no further than it must
    for together in sets:
        if fits(together):
            return f"set {_and(_needed(together, fits))}"
    for together in sets:
        shorter = _shorter(model, _changed(wanted, together), device)
        if shorter:
            return f"set {_and(_needed([*together, *shorter], fits))}"
    size = memory_of(model, least(model, _changed(wanted, sets[-1]))).total / GIB
    tried = f"even with {_and(sets[-1])} it takes" if sets[-1] else "take a smaller base, or"
    return f"{tried} a device with {math.ceil(10 * size) / 10:.1f} GiB or more"


def _needed(changes: list[Change], fits: Callable[[list[Change]], bool]) -> list[Change]:
    """Changes that are enough together, without those that can be left out; the last are tried first."""
    for change in reversed(changes):
        fewer = [other for other in changes if other is not change]
        if fits(fewer):
            changes = fewer
    return changes


def _shorter(model: Architecture, wanted: Settings, device: Device) -> list[Change]:
    """Rows as long as there is room for, where that is of use."""
    length = longest(model, wanted, device) // 8 * 8
    if length < SHORTEST:
        return []
    return [Change(f"max_length to {length:,}", lambda settings: replace(settings, max_length=length))]


def _changes(model: Architecture, wanted: Settings) -> list[Change]:
    """Changes that take memory away, those first that cost the student least."""
    changes = []
    if wanted.micro_batch not in (None, 1):
        changes.append(Change("micro_batch to 1", lambda settings: replace(settings, micro_batch=1)))
    if wanted.checkpointing is False:
        changes.append(Change("gradient_checkpointing to auto", lambda settings: replace(settings, checkpointing=None)))
    if wanted.optimizer == "adamw":
        changes.append(Change("optimizer to adamw_8bit", lambda settings: replace(settings, optimizer="adamw_8bit")))
    if wanted.dtype == "fp32" and wanted.gpu:
        changes.append(Change("precision to auto", lambda settings: replace(settings, dtype="fp16")))
    if wanted.rank is not None and not wanted.quantised:
        changes.append(Change("quantization to nf4", lambda settings: replace(settings, quantised=True)))
    if wanted.rank is None and model.name != "scratch":  # a model from scratch has nothing to adapt yet
        said = "lora to {rank: 16} with quantization: nf4"
        changes.append(Change(said, lambda settings: replace(settings, rank=16, quantised=True)))
    if wanted.backend == "plain" and wanted.gpu and wanted.rank is not None and not wanted.plain_only:
        changes.append(Change("backend to unsloth", lambda settings: replace(settings, backend="unsloth")))
    return changes


def _ranks(wanted: Settings) -> list[Change]:
    """Lower ranks, each half of the one before."""
    ranks, rank = [], (wanted.rank or 0) // 2
    while rank >= LOWEST_RANK:
        ranks.append(Change(f"lora.rank to {rank}", lambda settings, rank=rank: replace(settings, rank=rank)))  # type: ignore[misc]
        rank //= 2
    return ranks


def _changed(settings: Settings, changes: list[Change]) -> Settings:
    return reduce(lambda done, change: change.make(done), changes, settings)


def _and(changes: list[Change]) -> str:
    said = [change.said for change in changes]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)

"""A plan: how a training fits a device, with the micro-batch and accumulation for the batch asked, or why not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recipes.advice import advice
from recipes.architecture import Architecture
from recipes.counts import shortened
from recipes.devices import GIB, Device
from recipes.memory import Memory, memory_of
from recipes.room import least, settle
from recipes.settings import Settings


@dataclass(frozen=True, slots=True)
class Fit:
    """A plan. settings: what was asked, with micro_batch and checkpointing settled; those that take the least where
    nothing fits. refusal: None where it fits, else what it takes and which setting to change to what.
    """

    model: Architecture
    device: Device
    settings: Settings
    memory: Memory
    refusal: str | None = None

    @property
    def micro_batch(self) -> int:
        """Rows at once."""
        return self.settings.micro_batch or 1

    @property
    def accumulation(self) -> int:
        """Micro-batches in an optimizer step; times micro_batch it is the batch size asked."""
        return self.settings.batch_size // self.micro_batch

    def place(self) -> str:
        """The device, what of it can be used, and what is computed in: the recipe's precision where it names one."""
        usable = self.device.usable
        room = "" if usable is None else f": {usable:.1f} GiB usable"
        return f"{self.device.name}{room}, {self.settings.dtype}"

    def lines(self) -> list[str]:
        """The plan in plain text: a table by component, and what it comes to."""
        sizes = [(part.name, part.size) for part in self.memory.parts]
        room = "" if self.device.usable is None else f" of {self.device.usable:.2f} GiB"
        width = max(len(name) for name, _ in sizes)
        total = f"  {'in all':<{width}}  {self.memory.total / GIB:6.2f} GiB{room}"
        confirmed = "a GPU" if self.device.gpu else "this machine"
        base = f"{self.model.name}, {shortened(self.model.parameters)} parameters"
        return [
            f"{base}, by {self.settings.backend} on {self.place()}",
            *(f"  {name:<{width}}  {size / GIB:6.2f} GiB" for name, size in sizes),
            total,
            *self._outcome(),
            f"an estimate: not confirmed on {confirmed}",
        ]

    def _outcome(self) -> list[str]:
        if self.refusal is not None:
            return [f"does not fit: {self.refusal}"]
        settings, rows = self.settings, f"{self.micro_batch} x {self.accumulation} accumulated"
        lines = [
            f"micro-batch {rows} = {settings.batch_size} rows a step, up to {settings.max_length:,} tokens each; "
            f"gradient checkpointing {'on' if settings.checkpointing else 'off'}"
        ]
        if self.memory.host:
            lines.append(f"inputs of blocks wait in the machine's own memory: {self.memory.host / GIB:.2f} GiB")
        return lines


def fit(model: Architecture, wanted: Settings, device: Device) -> Fit:
    """The largest micro-batch that fits, without gradient checkpointing where it can be; else a plan with a refusal."""
    wanted = replace(wanted, gpu=device.gpu)
    settings = settle(model, wanted, device)
    if settings is not None:
        return Fit(model, device, settings, memory_of(model, settings))
    settings = least(model, wanted)
    memory = memory_of(model, settings)
    rows = "one row" if settings.micro_batch == 1 else f"{settings.micro_batch} rows"
    takes = f"{rows} of {settings.max_length:,} tokens at once {'takes' if rows == 'one row' else 'take'}"
    needs = f"{takes} {memory.total / GIB:.2f} GiB and the {device.name} has {device.usable:.2f}"
    return Fit(model, device, settings, memory, f"{needs}; {advice(model, wanted, device)}")

"""What of a step goes through the model at once on this machine, and what is recomputed to save memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from finetune import processes
from finetune.course import CausalCourse
from finetune.unsloth_backend import uses_unsloth
from recipes.console import say
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from recipes.architecture import Architecture
    from recipes.devices import Device


@dataclass(frozen=True)
class Plan:
    """micro_batch: rows of max_length at once. checkpointing: activations are recomputed, not kept."""

    micro_batch: int
    checkpointing: bool
    backend: Literal["unsloth", "plain"] = "plain"


def plan_training(course: CausalCourse) -> Plan:
    """What the recipe says; what it leaves open is settled by the memory plan on a GPU, and on a CPU all rows of a step
    go through at once. Raises TrainingError where a step cannot be shared by the processes, or nothing fits.
    """
    student = course.student
    each = processes.share_of(student.batch_size, course.title)
    backend: Literal["unsloth", "plain"] = "unsloth" if uses_unsloth(student) else "plain"
    if course.machine.device == "cuda":
        return _plan_gpu(course, each, backend)
    return Plan(largest_divisor(each, student.micro_batch or each), student.gradient_checkpointing == "on", backend)


def _plan_gpu(course: CausalCourse, each: int, backend: Literal["unsloth", "plain"]) -> Plan:
    """What fits, as recipes/fit.py estimates. Settings that the recipe names both stand, whatever the estimate says."""
    from recipes.fit import fit
    from recipes.settings import settings_of

    student = course.student
    named = student.micro_batch is not None and student.gradient_checkpointing != "auto"
    model = _architecture(course)
    if isinstance(model, str):
        say(f"{course.title}: no memory plan ({model}); one row at a time unless micro_batch says otherwise")
        return Plan(largest_divisor(each, student.micro_batch or 1), student.gradient_checkpointing != "off", backend)
    device = this_gpu(course.machine.precision == "bf16")
    rows = None if student.micro_batch is None else largest_divisor(each, student.micro_batch)
    here = {"batch_size": each, "micro_batch": rows, "precision": course.machine.precision, "backend": backend}
    found = fit(model, settings_of(student.model_copy(update=here), device, backend == "unsloth"), device)
    if found.refusal is not None and not named:
        raise TrainingError(f"{course.title}: {found.refusal}; to try it all the same, name micro_batch and "
                            "gradient_checkpointing in the recipe")  # fmt: skip
    for line in found.lines():
        say(f"{course.title}: {line}")
    return Plan(found.micro_batch, bool(found.settings.checkpointing), backend)


def largest_divisor(rows: int, most: int) -> int:
    """The largest number of rows at once, `most` or less, that deals `rows` out evenly."""
    return next(count for count in range(min(rows, most), 0, -1) if rows % count == 0)


def this_gpu(bf16: bool) -> Device:
    """The GPU of this process and what it has room for: all of it but what others hold."""
    import torch

    from recipes.devices import GIB, Device

    free, total = torch.cuda.mem_get_info()
    idle = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    ours = idle + GIB // 2  # what CUDA itself takes is in the plan
    others = max(0, total - free - ours)
    return Device(torch.cuda.get_device_name(), round((total - others) / GIB, 2), bf16=bf16)


def _architecture(course: CausalCourse) -> Architecture | str:
    """The base's dimensions, or why they are not known."""
    from transformers import AutoConfig

    from finetune.bases import load_pretrained
    from recipes.architecture import read_architecture, scratch_architecture

    if course.student.base == "scratch":
        return scratch_architecture(course.student.scratch)
    return read_architecture(course.base.name, load_pretrained(AutoConfig, course.base).to_dict())

"""The memory that students which write will take on a device, from their bases' dimensions alone."""

from __future__ import annotations

from importlib.util import find_spec

from recipes.architecture import Architecture, scratch_architecture
from recipes.base_configs import find_architecture
from recipes.devices import GIB, Device, card, cpu, find_device
from recipes.doctor import bf16_cpu, find_gpus, memory_bytes
from recipes.fit import Fit, fit
from recipes.schema import Recipe
from recipes.seq2seq_plan import plan_seq2seq
from recipes.seq2seq_student import Seq2seqStudent
from recipes.settings import settings_of
from recipes.students import CausalStudent

_NOTHING = 2 * GIB
"""Bytes below which a table of the parts is not worth its lines."""


def this_device() -> Device:
    """What a student would be trained on here: the first NVIDIA GPU, else the processor."""
    for gpu in find_gpus():
        return card(gpu.name, gpu.memory, gpu.dtype() == "bf16")
    return cpu(memory_bytes()[0], bf16_cpu())


def memory_lines(recipe: Recipe, device: str | None = None) -> list[str]:
    """The plan of every student that writes, for the device named or this machine. Raises RecipeError for no device.

    For a GPU that is only named, unsloth is taken to be installed there; where it would not be used, what changes.
    """
    named = None if device is None else find_device(device)
    there = named or this_device()
    unsloth = there.gpu and (named is not None or find_spec("unsloth") is not None)
    lines: list[str] = []
    for name, student in recipe.students.items():
        if isinstance(student, CausalStudent):
            first, *others = _lines(recipe, name, student, there, unsloth)
            lines += [f"{name}: {first}", *others]
        elif isinstance(student, Seq2seqStudent):
            found = plan_seq2seq(recipe, name, there)
            lines.append(f"{name}: " + (f"no memory plan: {found}" if isinstance(found, str) else found.line()))
    return lines


def memory_refusals(recipe: Recipe, names: list[str]) -> list[str]:
    """Why students cannot be trained on this machine's GPU; nothing where there is none, or a base is not known."""
    there = this_device()
    found = []
    for name in names if there.gpu else ():
        student = recipe.students[name]
        if isinstance(student, CausalStudent) and not _insists(student):
            plan = plan_memory(recipe, name, there, find_spec("unsloth") is not None)
            if isinstance(plan, Fit) and plan.refusal is not None:
                found.append(f"students.{name}: {plan.refusal}")
    return found


def plan_memory(recipe: Recipe, name: str, device: Device, unsloth: bool) -> Fit | str:
    """How a student's training fits a device, or why nothing can be said."""
    student, model = recipe.causal(name), architecture_of(recipe, name)
    if student.backend == "unsloth" and not device.gpu:
        return f"backend: unsloth needs a CUDA GPU, and {device.name} is none; name one with --device"
    return model if isinstance(model, str) else fit(model, settings_of(student, device, unsloth), device)


def architecture_of(recipe: Recipe, name: str) -> Architecture | str:
    """The dimensions of what a student starts from, at the end of its chain; or why they are not known."""
    other = recipe.base_student(name)
    if other is not None:
        return architecture_of(recipe, other)
    student = recipe.causal(name)
    if student.base == "scratch":
        return scratch_architecture(student.scratch)
    return find_architecture(student.base, recipe.resolve(""), student.revision)


def _lines(recipe: Recipe, name: str, student: CausalStudent, device: Device, unsloth: bool) -> list[str]:
    plan = plan_memory(recipe, name, device, unsloth)
    if isinstance(plan, str):
        return [f"no memory plan: {plan}"]
    if plan.refusal is None and plan.memory.total < _NOTHING:
        return [f"{plan.model.name}, about {plan.memory.total / GIB:.1f} GiB on {plan.place()}"]
    if plan.settings.backend != "unsloth" or student.backend == "unsloth":
        return plan.lines()
    plain = plan_memory(recipe, name, device, unsloth=False)
    assert isinstance(plain, Fit)
    without = f"does not fit: {plain.refusal}" if plain.refusal else (
        f"micro-batch {plain.micro_batch} x {plain.accumulation} accumulated, gradient checkpointing "
        f"{'on' if plain.settings.checkpointing else 'off'}"
    )  # fmt: skip
    return [*plan.lines(), f"without unsloth: {without}"]


def _insists(student: CausalStudent) -> bool:
    """Whether the recipe settles itself what the plan would: it stands, whatever the estimate says."""
    return student.micro_batch is not None and student.gradient_checkpointing != "auto"

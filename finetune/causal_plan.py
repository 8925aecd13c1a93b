"""What of a step goes through the model at once on this machine, and what is recomputed to save memory."""

from __future__ import annotations

from dataclasses import dataclass

from finetune import processes
from finetune.course import CausalCourse


@dataclass(frozen=True)
class Plan:
    """micro_batch: rows of max_length at once. checkpointing: activations are recomputed, not kept."""

    micro_batch: int
    checkpointing: bool


def plan_training(course: CausalCourse) -> Plan:
    """The recipe's own settings where it has them; else all rows of a step at once, on a GPU with checkpointing."""
    student = course.student
    each = max(1, student.batch_size // processes.count())
    micro_batch = min(each, student.micro_batch or each)
    checkpointing = {"on": True, "off": False, "auto": course.machine.device == "cuda"}[student.gradient_checkpointing]
    return Plan(micro_batch, checkpointing)

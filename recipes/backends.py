"""With which library a generative student is trained, as far as the recipe alone decides it."""

from __future__ import annotations

from recipes.students import CausalStudent


def without_unsloth(student: CausalStudent) -> str | None:
    """Why unsloth cannot train this student on any machine, or None."""
    if student.lora is None:
        return "it trains adapters here, and lora is null"
    if student.packing == "packed":
        return "its attention does not keep packed rows apart"
    return "it trains in 16 bits, and precision is fp32" if student.precision == "fp32" else None

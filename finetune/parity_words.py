"""What a parity figure says, in words: for the console and for the card of an export."""

from __future__ import annotations

from math import floor

from finetune.parity import Parity

DRIFT = {"float16": 0.02, "f16": 0.02, "bfloat16": 0.1}
"""Most that the logits of a copy in these may be off, as a share of the largest, before it is said to be another model.
The rounding of the weights alone moved them by up to 0.7% and 3.7% (bench/merge_rounding.py)."""


def parity_sentence(figures: Parity | str) -> str:
    """One copy against the student: the tokens they find most likely first, for those are what it says."""
    if isinstance(figures, str):
        return f"parity {figures}"
    said = (
        f"the same most likely token as the student at {share(figures.same_top, figures.places)} places, logits "
        f"within {figures.relative:.2%} of its largest"
    )
    new = figures.new_tokens * figures.texts
    if new:
        said += f"; going on by itself, it says {share(figures.same_tokens, new)} tokens as the student does"
        if figures.same_tokens < 1:
            said += " (after one that differs, the rest of that answer is another)"
    return said


def warning(kind: str, figures: Parity | str) -> str | None:
    """Why a copy of a dtype or a packing should not be used; None where it is what its bits leave of the student."""
    if isinstance(figures, str) or figures.relative <= DRIFT.get(kind, float("inf")):
        return None
    return f"that is more than {kind} explains: do not use it, and please report it"


def share(part: float, count: int) -> str:
    """A share of so many; rounded down, so that what is not all never reads as 100%."""
    return f"all {count:,}" if part == 1 else f"{floor(part * 1000 + 1e-9) / 10:.1f}% of {count:,}"

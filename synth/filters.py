"""Why an example is not asked about, and why a labelled row is not kept: a reason and a sentence, or None.

All reasons a row can be rejected for:
    source   empty_text, too_long, unknown_gold, duplicate, near_duplicate_of_test
    teacher  malformed, unknown_label, refused, truncated, no_majority, teacher_failed, not_recorded
    filter   short_rationale
"""

from __future__ import annotations

from recipes.rows import LabelRow
from recipes.schema import Synthesis


def unfit_text(text: str, synthesis: Synthesis) -> tuple[str, str] | None:
    """Why a cleaned text is not worth a call."""
    if not text:
        return "empty_text", "nothing is left of the text after cleaning"
    if len(text) > synthesis.max_text_chars:
        return "too_long", f"{len(text)} characters; synthesis.max_text_chars is {synthesis.max_text_chars}"
    return None


def unfit_row(row: LabelRow, synthesis: Synthesis) -> tuple[str, str] | None:
    """Why a labelled row is not kept. A row without a rationale is not judged by its length."""
    if row.rationale is not None and len(row.rationale.strip()) < synthesis.min_rationale_chars:
        return "short_rationale", f"{len(row.rationale.strip())} of {synthesis.min_rationale_chars} characters"
    return None

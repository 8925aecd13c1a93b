"""Why an example is not asked about, and why a labelled row is not kept: a reason and a sentence, or None.

All reasons a row can be rejected for:
    source   empty_<field>, too_long, unknown_gold, duplicate, near_duplicate_of_test;
             of gold tuples: no_aspects, bad_aspects, unknown_polarity, term_not_found;
             of conversations: no_response, bad_roles, bad_messages, empty_turn
    teacher  malformed, empty, unknown_label, refused, truncated, no_majority, teacher_failed, not_recorded;
             of reasoning: empty_question, empty_reasoning, empty_response
    filter   short_rationale; of generative rows (quality.py): short_response, long_response, empty_reasoning,
             short_reasoning, copied_reasoning, meta_talk, ungrounded, language, near_duplicate
"""

from __future__ import annotations

from recipes.rows import LabelRow, Reject
from recipes.schema import Synthesis
from synth.content import Content


def unfit_content(content: Content, synthesis: Synthesis) -> tuple[str, str] | None:
    """Why a cleaned row is not worth a call."""
    for name, value in content.fields.items():
        if not value:
            return f"empty_{name}", f"nothing is left of the {name} after cleaning"
    size = content.size()
    if size > synthesis.max_text_chars:
        return "too_long", f"{size} characters; synthesis.max_text_chars is {synthesis.max_text_chars}"
    return None


def label_reject(row: LabelRow, synthesis: Synthesis) -> Reject | None:
    """The reject that a labelled row becomes, or None where it is kept."""
    unfit = unfit_row(row, synthesis)
    if unfit is None:
        return None
    reason, detail = unfit
    where = {"id": row.id, "text": row.text, "gold": row.gold, "slices": row.slices, "split": row.split}
    return Reject(**where, stage="filter", reason=reason, detail=detail, reply=row.rationale)


def unfit_row(row: LabelRow, synthesis: Synthesis) -> tuple[str, str] | None:
    """Why a labelled row is not kept. A row without a rationale is not judged by its length."""
    if row.rationale is not None and len(row.rationale.strip()) < synthesis.min_rationale_chars:
        return "short_rationale", f"{len(row.rationale.strip())} of {synthesis.min_rationale_chars} characters"
    return None

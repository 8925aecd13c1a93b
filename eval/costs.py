"""What 1,000 answers cost, from what was measured; None wherever a price or a measurement is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.comparison import ModelScores
from recipes.chat import Price, Usage


def teacher_usd_per_1000(price: Price | None, facts: Mapping[str, Any]) -> float | None:
    """USD for 1,000 examples asked: all tokens behind the rows, votes and asking again included, at today's price.

    facts: of the rows manifest. Recorded replies without token counts give None, not a teacher that is free.
    """
    tokens, asked = facts.get("tokens") or {}, facts.get("asked") or 0
    usage = Usage(**{kind: int(tokens.get(kind, 0)) for kind in ("prompt", "cached", "completion")})
    if price is None or not asked or not usage.prompt + usage.completion:
        return None
    return price.cost(usage) / asked * 1000


def machine_usd_per_1000(usd_per_hour: float | None, rows_per_second: float | None) -> float | None:
    """USD for 1,000 answers on a machine that is paid by the hour and kept busy."""
    if usd_per_hour is None or not rows_per_second:
        return None
    return usd_per_hour / 3600 / rows_per_second * 1000


def ratio_sentence(models: Sequence[ModelScores]) -> str:
    """`roberta costs 57 times less than the teacher.` for each student with a cost; empty where none has one."""
    teacher = next((one.usd_per_1000 for one in models if one.role == "teacher"), None)
    said = [
        f"{one.name} costs {_times(teacher / one.usd_per_1000)} the teacher."
        for one in models
        if teacher and one.role == "student" and one.usd_per_1000
    ]
    return " ".join(said)


def _times(ratio: float) -> str:
    if ratio >= 2:
        return f"{ratio:,.0f} times less than"
    times = 1 / ratio
    return f"{times:,.0f} times as much as" if times >= 10 else f"{times:.2g} times as much as"

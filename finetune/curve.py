"""curve.svg: the training and validation loss of a student, step by step, as a picture that needs no program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 52, 16, 34, 40
POINTS = 300
"""Places across at which the training loss is drawn: the mean of the steps that fall there."""


def curve_svg(name: str, losses: Sequence[float], checked: Sequence[tuple[int, float]], best_step: int) -> str:
    """Losses of a training, in nats per token that is to be written: a thin line for each step's, a strong one with
    dots for validation (checked: step and loss), a ring at the best.
    """
    values = [*_thin(losses), *checked]
    low, high = _ends([value for _, value in values])

    def at(step: float, loss: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * step / max(1, len(losses))
        return round(across, 1), round(TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low), 1)

    training = " ".join(f"{x},{y}" for x, y in (at(*point) for point in _thin(losses)))
    dots = [at(*point) for point in checked]
    best = next((at(*point) for point in checked if point[0] == best_step), None)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        "<style>text{fill:#555}.t{stroke:#8aa4c8}.v{stroke:#b5541c}.g{stroke:#8884}"
        "@media(prefers-color-scheme:dark){text{fill:#bbb}}</style>",
        f'<text x="{LEFT}" y="18">{escape(name)}: loss, nats per completion token '
        '(thin: training, dots: validation)</text>',
        *_grid(low, high, len(losses), at(0, low)[1]),
        f'<polyline class="t" fill="none" stroke-width="1.2" points="{training}"/>',
        f'<polyline class="v" fill="none" stroke-width="2" points="{" ".join(f"{x},{y}" for x, y in dots)}"/>',
        *(f'<circle class="v" cx="{x}" cy="{y}" r="2.5" fill="#b5541c"/>' for x, y in dots),
        *([f'<circle class="v" cx="{best[0]}" cy="{best[1]}" r="6" fill="none" stroke-width="2"/>'] if best else []),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _grid(low: float, high: float, steps: int, floor: float) -> list[str]:
    lines = []
    for turn in range(5):
        loss = low + (high - low) * turn / 4
        y = round(TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low), 1)
        lines.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{loss:.2f}</text>')
    ends = f'<text x="{LEFT}" y="{floor + 18}">0</text>'
    last = f'<text x="{WIDTH - RIGHT}" y="{floor + 18}" text-anchor="end">{steps:,} steps</text>'
    return [*lines, ends, last]


def _thin(losses: Sequence[float]) -> list[tuple[float, float]]:
    """(step, mean loss) of at most POINTS stretches."""
    every = max(1, math.ceil(len(losses) / POINTS))
    stretches = [losses[start : start + every] for start in range(0, len(losses), every)]
    return [(place * every + len(one), sum(one) / len(one)) for place, one in enumerate(stretches)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 0.5, high + 0.5)

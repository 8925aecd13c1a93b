"""Figures as people read them; `–` for a figure that there is none of."""

from __future__ import annotations

import math

from eval.comparison import Figure
from eval.measures import MEASURES

NONE = "–"


def percent(value: float | None) -> str:
    """0.6903 as `69.0%`."""
    return NONE if value is None else f"{100 * value:.1f}%"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed: `+0.4`, `−3.1`, `0.0`."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def decimal(value: float | None, digits: int = 2) -> str:
    """0.5312 as `0.53`."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def p_text(p: float) -> str:
    """A p-value with its sign: `= 0.72`, `= 0.031`, `< 0.001`."""
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.2f}" if p >= 0.1 else f"= {p:.3f}"


def p_sentence(p: float, corrected: float) -> str:
    """`p = 0.031`, or with what Holm's correction made of it."""
    raw, after = p_text(p), p_text(corrected)
    if corrected == p:
        return f"p {raw}"
    words = "after Holm's correction"
    return f"p {raw} {words}" if raw == after else f"p {raw}, {after.removeprefix('= ')} {words}"


def points_span(figure: Figure) -> str:
    """The interval of such a difference: `−1.0 to +3.2`."""
    return f"{points(figure.low or 0.0)} to {points(figure.high or 0.0)}"


def measure_text(value: float | None, measure: str) -> str:
    """A figure of generated answers as its measure is read: `71.0%`, `31.2`, `0.912`."""
    if value is None:
        return NONE
    kind = MEASURES[measure].kind
    if kind == "share":
        return percent(value)
    return f"{100 * value:.1f}" if kind == "points" else decimal(value, MEASURES[measure].digits)


def measure_span(figure: Figure, measure: str) -> str:
    """The interval of such a figure: `65.1 to 71.2`; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    if MEASURES[measure].kind != "plain":
        return span(figure)
    return f"{measure_text(figure.low, measure)} to {measure_text(figure.high, measure)}"


def measure_change(value: float, measure: str) -> str:
    """A difference of two such figures, signed: `+18.8 points`, `−0.310`."""
    if MEASURES[measure].kind != "plain":
        return f"{points(value)} points"
    digits = MEASURES[measure].digits
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if not float(text) else text.replace("-", "−")


def measure_changes(figure: Figure, measure: str) -> str:
    """The interval of such a difference: `+10.2 to +31.0 points`."""
    low, high = (measure_change(end or 0.0, measure) for end in (figure.low, figure.high))
    return f"{low.removesuffix(' points')} to {high}"


def usd(value: float | None) -> str:
    """`$12.30`, `$0.0041`, `< $0.0001`: two decimals from a dollar up, two figures that count below."""
    if value is None:
        return NONE
    if value >= 1 or value == 0:
        return f"${value:,.2f}"
    return f"${value:.2g}" if value >= 0.0001 else "< $0.0001"


def tick_usd(power_of_ten: float) -> str:
    """A tick of the cost axis: `$100`, `$0.01`, `$10⁻⁵`."""
    if power_of_ten >= 0.001:
        return f"${power_of_ten:,g}"
    return "$10" + f"{math.log10(power_of_ten):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def rate(value: float | None) -> str:
    """Rows per second: `45.9`, `1,210`, `210k`, `20M`."""
    if value is None:
        return NONE
    if value >= 1_000_000:
        return f"{value / 1_000_000:,.0f}M"
    if value >= 100_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def span(figure: Figure) -> str:
    """The interval of a share, in percent: `65.1 to 71.2`; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"

"""report.json, report.md and the self-contained report.html: one comparison, three readers."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from eval import charts, numbers
from eval.comparison import Comparison
from eval.costs import ratio_sentence
from eval.markdown import markdown
from eval.table import columns
from eval.verdicts import is_clear
from recipes.runs import RunFolder, write_atomic

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(run: RunFolder, comparison: Comparison) -> list[Path]:
    """Write the three reports and return their paths."""
    contents = {
        "report.json": comparison.model_dump_json(indent=1) + "\n",
        "report.md": markdown(comparison),
        "report.html": html(comparison),
    }
    for name, content in contents.items():
        write_atomic(run.path / name, content.encode())
    return [run.path / name for name in contents]


def read_report(run: RunFolder) -> Comparison | None:
    """The comparison of a report.json; None where there is none, or it is not one of this version."""
    path = run.path / "report.json"
    try:
        return Comparison.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def html(comparison: Comparison) -> str:
    """The whole report as one page: no script, nothing loaded from outside, and a policy that forbids both."""
    env = _environment()
    style = env.get_template("style.html.j2").render(heat_steps=charts.HEAT_STEPS)
    seal = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return env.get_template("report.html.j2").render(
        c=comparison,
        style=_safe(style),
        style_hash=_safe(f"sha256-{seal}"),
        confidence=f"{100 * comparison.confidence:g}%",
        columns=columns(comparison),
        headline=charts.headline(comparison),
        cost=charts.cost_chart(comparison),
        ratio=ratio_sentence(comparison.models),
        bars=charts.funnel_bars(comparison.funnel),
        curves=[chart for curve in comparison.curves if (chart := charts.curve_chart(curve))],
        questions=max(1, sum(pair.family == "question" for pair in comparison.pairs)),
        many_seeds=any(len(model.seeds) > 1 for model in comparison.models),
    )


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {name: getattr(numbers, name) for name in ("percent", "points", "decimal", "usd", "span")}
    env.filters |= filters | {
        "p_text": lambda p: numbers.p_text(p).removeprefix("= "),
        "tick_usd": numbers.tick_usd,
        "is_clear": is_clear,
        "heat": charts.heat,
        "paleness": charts.paleness,
        "confusions": charts.confusions,
        "has_unanswered": lambda model: any(row[-1] for row in model.confusion),
    }
    env.globals["matrix_labels"] = charts.MATRIX_LABELS
    return env


def _safe(text: str) -> Any:
    """Text of ours that is not to be escaped."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 our own style sheet and its digest; no word of a recipe or a row is in them

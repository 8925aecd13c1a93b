"""report.json, report.md and the self-contained report.html: one comparison, three readers; and the table on stdout."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from eval import charts, curve_charts, numbers, response_charts, tuple_charts, tuple_measures
from eval.claims import is_clear
from eval.comparison import Comparison
from eval.costs import ratio_sentence
from eval.label_agreement import APPLIES
from eval.markdown import markdown
from eval.measures import paired_head
from eval.response_markdown import asked_as, response_markdown
from eval.response_table import meaning, response_grid, shown_metrics
from eval.response_verdicts import direction, main_verdicts, open_verdicts
from eval.responses import ResponseComparison
from eval.slice_tables import label_grid, slice_tables
from eval.slices import FEW_IN_SLICE
from eval.table import Grid, columns, grid, notes, print_table
from eval.tuple_comparison import TupleComparison
from eval.tuple_markdown import asked_as as tuple_asked_as
from eval.tuple_markdown import tuple_markdown
from eval.tuple_rows import OWN
from eval.tuple_table import glossary, seed_grid, set_grid, share_grid, slice_grid, slice_words
from recipes.counts import counted
from recipes.runs import RunFolder, write_atomic

if TYPE_CHECKING:
    from jinja2 import Environment

    from eval.retrieval_report import RetrievalReport

AnyComparison = Comparison | ResponseComparison | TupleComparison


def write_report(run: RunFolder, comparison: AnyComparison) -> list[Path]:
    """Write the three reports and return their paths."""
    if isinstance(comparison, Comparison):
        text, page = markdown(comparison), html(comparison)
    elif isinstance(comparison, TupleComparison):
        text, page = tuple_markdown(comparison), tuple_html(comparison)
    else:
        text, page = response_markdown(comparison), response_html(comparison)
    contents = {"report.json": comparison.model_dump_json(indent=1) + "\n", "report.md": text, "report.html": page}
    for name, content in contents.items():
        write_atomic(run.path / name, content.encode())
    return [run.path / name for name in contents]


def read_report(run: RunFolder) -> AnyComparison | None:
    """The comparison of a report.json; None where there is none, or it is not one of this version."""
    try:
        content = (run.path / "report.json").read_bytes()
    except OSError:
        return None
    for kind in (Comparison, ResponseComparison, TupleComparison):
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            continue
    return None


def print_report(comparison: AnyComparison) -> None:
    """The score table (of each dataset one), the verdicts and the warnings on stdout."""
    said = notes(comparison.verdicts, comparison.warnings)
    if isinstance(comparison, Comparison):
        print_table(f"{comparison.recipe}: {comparison.rows:,} rows", grid(comparison), said)
    elif isinstance(comparison, ResponseComparison):
        print_table(f"{comparison.recipe}: {comparison.rows:,} questions", response_grid(comparison), said)
    else:
        *before, last = _tuple_tables(comparison)
        for title, table in before:
            print_table(title, table, [])
        print_table(*last, said)


def _tuple_tables(comparison: TupleComparison) -> Iterator[tuple[str, Grid]]:
    """The tables of each dataset, with their titles."""
    for one in comparison.sets:
        yield f"{comparison.recipe}: {counted(one.rows, 'row')} of {one.dataset}", set_grid(comparison, one.dataset)
        slices = slice_grid(comparison, one)
        if slices is not None:
            yield f"{comparison.recipe}: {one.dataset}", slices


def html(comparison: Comparison) -> str:
    """The report of a classification as one page: no script, nothing loaded from outside, and a policy against both."""
    shown = columns(comparison)
    return page(
        "report.html.j2",
        comparison,
        glossary=[(column.head, column.meaning) for column in shown],
        main_verdicts=max(1, sum(pair.family == "question" for pair in comparison.pairs)),
        open_verdicts=len(comparison.verdicts),
        bars=charts.funnel_bars(comparison.funnel),
        columns=shown,
        slices=slice_tables(comparison),
        few_in_slice=FEW_IN_SLICE,
        label_grid=label_grid(comparison.label_agreement),
        applies=APPLIES,
        headline=charts.headline(comparison),
        cost=charts.cost_chart(comparison),
        ratio=ratio_sentence(comparison.models),
        curves=curve_charts.loss_charts(comparison.curves),
    )


def response_html(comparison: ResponseComparison) -> str:
    """The same for generated answers."""
    judged = () if comparison.judge is None else comparison.judge.judged
    return page(
        "responses.html.j2",
        comparison,
        glossary=[meaning(name) for name in shown_metrics(comparison)],
        main_verdicts=main_verdicts(comparison.verdicts),
        open_verdicts=open_verdicts(comparison),
        bars=charts.funnel_bars(comparison.funnel, asked_as(comparison)),
        grid=response_grid(comparison),
        dot_charts=response_charts.dot_charts(comparison),
        judged=response_charts.judged_bars(judged),
        pairs=response_charts.grouped_pairs(comparison.pairs),
        curves=curve_charts.loss_charts(comparison.curves),
    )


def tuple_html(comparison: TupleComparison) -> str:
    """The same for seq2seq students, a section for each dataset."""
    return page(
        "tuples.html.j2",
        comparison,
        glossary=glossary(comparison),
        main_verdicts=max(1, sum(pair.family == "distillation" for pair in comparison.pairs)),
        open_verdicts=len(comparison.verdicts),
        heads={name: one.head for name, one in tuple_measures.MEASURES.items()},
        tasks=tuple_measures.TASKS,
        own=OWN,
        slice_words=slice_words,
        curves=curve_charts.loss_charts(comparison.curves),
        shown=[
            (
                part,
                set_grid(comparison, part.dataset),
                slice_grid(comparison, part),
                tuple_charts.set_dots(comparison, part.dataset),
                share_grid(comparison, part.dataset),
                tuple_charts.share_chart(comparison, part.dataset),
                seed_grid(comparison, part.dataset),
            )
            for part in comparison.sets
        ],
        funnels=[
            (name, charts.funnel_bars(funnel, tuple_asked_as(comparison, name)))
            for name, funnel in comparison.funnels.items()
        ],
    )


def page(template: str, comparison: AnyComparison | RetrievalReport, **parts: Any) -> str:
    """A template of this folder with all that was found: no script, nothing loaded, and a policy against both."""
    env = _environment()
    style = env.get_template("style.html.j2").render(heat_steps=charts.HEAT_STEPS)
    seal = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    models: Sequence[Any] = getattr(comparison, "models", ())
    return env.get_template(template).render(
        c=comparison,
        style=_safe(style),
        style_hash=_safe(f"sha256-{seal}"),
        confidence=f"{100 * comparison.confidence:g}%",
        many_seeds=any(len(model.seeds) > 1 for model in models),
        **parts,
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
    names = (
        "percent",
        "points",
        "decimal",
        "usd",
        "span",
        "measure_text",
        "measure_change",
        "measure_changes",
        "tick_usd",
    )
    filters: dict[str, Any] = {name: getattr(numbers, name) for name in names}
    env.filters |= filters | {
        "p_text": lambda p: numbers.p_text(p).removeprefix("= "),
        "is_clear": is_clear,
        "direction": direction,
        "measure_head": paired_head,
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

"""What a reader must know before trusting the figures of seq2seq students."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.claims import in_less_than_saved
from eval.numbers import percent
from eval.slices import FEW_IN_SLICE, MOST_SLICES
from eval.tuple_comparison import ALL, Result, SetPart
from eval.tuple_read import Met
from eval.tuple_scores import Marked
from recipes.counts import counted
from recipes.runs import RunFolder
from recipes.schema import Recipe

FEW_ROWS = 200
"""Below this, an F1 of 60% has a 95% interval of about +-5 points and more."""
CUT_OFF = 0.05
"""Share of the answers that did not end by themselves from which it is said."""
INVALID = 0.05
"""Share of invalid predictions from which it is said: F1 leaves them out."""


def tuple_warnings(
    recipe: Recipe,
    run: RunFolder,
    sets: Sequence[SetPart],
    models: Sequence[Marked],
    results: Sequence[Result],
    apart: Sequence[str],
    met: Sequence[Met],
) -> Iterator[str]:
    """All warnings, the widest first. apart: pairs that could not be compared. met: test texts that students know."""
    manifest = run.manifest("rows")
    if manifest is not None and not manifest.complete:
        yield "Some teacher calls failed for a passing reason; those rows are missing until synth is run again."
    if any(one.task == "understanding" for one in sets):
        yield (
            "Analyses and rewrites are compared with the teacher's, not with gold: closeness to the teacher, and no "
            "word on who is right."
        )
    yield from _sets(recipe, sets)
    yield from _seeds(models)
    for one in results:
        if one.slice == ALL:
            yield from _of_result(one)
    yield from (one.text() for one in met)
    yield from apart
    yield from in_less_than_saved({one.name: one.precision for one in models if one.role == "student"})
    cut = [f"{one.cut:,} of {counted(len(one.scored.ids), 'text')} for {one.name}" for one in models if one.cut]
    if cut:
        yield f"Longer than the student reads (max_length), and cut: {', '.join(cut)}."


def _sets(recipe: Recipe, sets: Sequence[SetPart]) -> Iterator[str]:
    few = [f"{one.dataset} ({one.rows:,})" for one in sets if one.rows < FEW_ROWS]
    if few:
        yield f"Few test rows: {', '.join(few)}. Only large differences can be told from chance there."
    small = [
        f"{name} of {one.dataset} ({rows:,})"
        for one in sets
        for name, rows in one.slices.items()
        if name != ALL and rows < FEW_IN_SLICE
    ]
    if small:
        yield f"Few rows in {'a slice' if len(small) == 1 else 'some slices'}: {', '.join(small)}."
    for one in sets:
        for column, values in one.cut.items():
            shown = f"the {MOST_SLICES} with the most test rows are shown"
            yield f"{column} of {one.dataset} has {values:,} values; {shown}."
    scored = {one.dataset for one in sets}
    idle = [name for name in recipe.datasets if name not in scored]
    if idle:
        yield f"No student that was compared learnt or can answer {', '.join(idle)}: not scored."
    if any(one.task == "sentiment" and not one.train for one in sets):
        yield "A sentiment dataset without train rows: its majority is that of the test rows, a baseline that peeks."


def _seeds(models: Sequence[Marked]) -> Iterator[str]:
    single = list(dict.fromkeys(one.name for one in models if one.role == "student" and len(one.seeds) == 1))
    if single:
        yield (
            f"Trained with one seed: {', '.join(single)}. Another seed gives other figures, often by more than a "
            "point; intervals are over texts alone."
        )


def _of_result(one: Result) -> Iterator[str]:
    truncated, invalid = one.figure("truncated").value, one.figure("invalid").value
    where = f"{one.model} on {one.dataset}"
    if truncated is not None and truncated > CUT_OFF:
        yield f"{where}: {percent(truncated)} of its answers did not end by themselves (max_target_length)."
    if invalid is not None and invalid > INVALID:
        strict = one.figure("f1_strict").value
        yield (
            f"{where}: {percent(invalid)} of what it named is invalid and left out of F1, as published; counted as "
            f"wrong, repeats too, it would have an F1 of {percent(strict)}."
        )

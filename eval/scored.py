"""The rows that every model is scored on: those of the test split that the teacher was asked, kept or not.

A test row whose teacher answer was unusable is a hard row more often than not. Leaving it out would flatter everybody,
so students answer it too, and it costs the teacher coverage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from eval.comparison import Funnel
from eval.metrics import MISSING, Codes, Floats
from recipes.errors import RunError, SourceError
from recipes.local_teacher import LocalTeacher
from recipes.rows import SPLITS, LabelRow, Reject, count_rows, read_rows
from recipes.runs import RunFolder, digest
from recipes.schema import Recipe


@dataclass(frozen=True)
class ScoredRows:
    """The rows, n of them, in the order of every array.

    gold, teacher: (n,) places in the recipe's labels, -1 where there is none.
    teacher_soft: (n, labels) the teacher's probabilities, NaN where it gave no answer; None where it gave labels alone.
    slices: column -> value, by which scores are told apart.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    gold: Codes
    teacher: Codes
    teacher_soft: Floats | None
    rationales: tuple[str | None, ...]
    slices: tuple[Mapping[str, str], ...] = ()

    def where(self, chosen: NDArray[np.bool_]) -> ScoredRows:
        """Some of the rows; chosen: (n,)."""
        return ScoredRows(
            **{name: tuple(compress(getattr(self, name), chosen)) for name in ("ids", "texts", "rationales", "slices")},
            gold=self.gold[chosen],
            teacher=self.teacher[chosen],
            teacher_soft=None if self.teacher_soft is None else self.teacher_soft[chosen],
        )

    def digest(self) -> str:
        """Identity of what is asked: ids and texts."""
        return digest([self.ids, self.texts])


def read_scored(recipe: Recipe, run: RunFolder) -> ScoredRows:
    """Read the scored rows of a finished `rows` stage. Raises RunError where there is none, or no row to score."""
    if not (run.rows / "test.jsonl").exists():
        raise RunError(f"{run.path} has no rows/test.jsonl: run python -m synth on the recipe first")
    rows: list[LabelRow | Reject] = [*read_rows(run.rows / "test.jsonl", LabelRow), *_unanswered(run)]
    if not rows:
        raise no_test_row(recipe, run)
    twice = [row_id for row_id, times in Counter(row.id for row in rows).items() if times > 1]
    if twice:
        raise RunError(f"{run.rows}: the test row {twice[0]!r} is there twice; delete rows/ and run synth again")
    return ScoredRows(
        ids=tuple(row.id for row in rows),
        texts=tuple(row.text for row in rows),
        gold=to_codes([row.gold for row in rows], recipe.labels),
        teacher=to_codes([_teacher_label(row) for row in rows], recipe.labels),
        teacher_soft=_soft(recipe, rows),
        rationales=tuple(row.rationale if isinstance(row, LabelRow) else None for row in rows),
        slices=tuple(row.slices for row in rows),
    )


def no_test_row(recipe: Recipe, run: RunFolder) -> RunError:
    """What to say where there is nothing to compare on."""
    if recipe.source.test == 0:
        return RunError("there is nothing to compare on: source.test is 0; raise it to keep rows for the comparison")
    return RunError(f"{run.rows} has no test row: give the recipe's source a test_path, a test_split or more rows")


def to_codes(values: Sequence[str | None], labels: Sequence[str]) -> Codes:
    """Labels as their place in `labels`, -1 for None. Raises SourceError for a label that is not among them."""
    places = {label: place for place, label in enumerate(labels)} | {None: MISSING}
    try:
        return np.array([places[value] for value in values], dtype=np.int64)
    except KeyError as unknown:
        raise SourceError(f"{unknown} is not a label of the recipe ({', '.join(labels)})") from None


def count_funnel(run: RunFolder) -> Funnel:
    """Count what became of every example, from the files themselves."""
    kept = {split: count_rows(run.rows / f"{split}.jsonl") for split in SPLITS}
    path = run.rows / "rejects.jsonl"
    reasons: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for row in read_rows(path, Reject) if path.exists() else ():
        reasons[row.stage == "source"][row.reason] += 1
    manifest = run.manifest("rows")
    return Funnel(
        not_drawn=manifest.facts.get("not_drawn") if manifest else None,
        set_aside=dict(reasons[True].most_common()),
        asked=sum(kept.values()) + reasons[False].total(),
        kept=kept,
        rejected=dict(reasons[False].most_common()),
    )


def _unanswered(run: RunFolder) -> Iterator[Reject]:
    path = run.rows / "rejects.jsonl"
    if path.exists():
        yield from (row for row in read_rows(path, Reject) if row.split == "test" and row.stage != "source")


def _teacher_label(row: LabelRow | Reject) -> str | None:
    return row.label if isinstance(row, LabelRow) else None


def _soft(recipe: Recipe, rows: Sequence[LabelRow | Reject]) -> Floats | None:
    """Vote shares of a single vote say nothing about confidence, so they count as no probabilities."""
    local = isinstance(recipe.teacher, LocalTeacher)
    if not local and recipe.synthesis.votes == 1 and recipe.synthesis.soft_labels == "votes":
        return None
    soft = np.full((len(rows), len(recipe.labels)), np.nan)
    for place, row in enumerate(rows):
        if isinstance(row, LabelRow) and row.soft:
            soft[place] = row.soft
    return soft

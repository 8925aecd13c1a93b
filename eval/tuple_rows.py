"""The test rows that seq2seq students are scored on: one set for each dataset, with its gold and its slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eval.scored import no_test_row
from eval.slices import MOST_SLICES
from eval.tuple_comparison import ALL, SetPart, SetTask
from recipes.aspects import TupleTask
from recipes.errors import RunError
from recipes.rows import AspectRow, LabelRow, UnderstandingRow, count_rows, read_rows
from recipes.runs import RunFolder, digest
from recipes.schema import SENTIMENTS, Recipe
from recipes.tuple_counts import Pair, gold_pairs, plain

OWN = "own rows"
"""The rows of the recipe's own source; no dataset can have a name with a space."""
_YES, _NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0", ""}


@dataclass(frozen=True)
class ScoredSet:
    """The test rows of one dataset, n of them, in the order of every array.

    gold: tuples of each text; of understanding (target, sentiment) of the teacher's analysis, None where it has none.
    rewrites: the teacher's, of understanding alone. labels: of sentiment alone. slices: name -> (n,) which rows.
    folder: where its rows lie. train: how many train rows it has.
    """

    dataset: str
    task: SetTask
    folder: RunFolder
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    train: int
    gold: tuple[tuple[Pair, ...] | None, ...] = ()
    rewrites: tuple[str | None, ...] = ()
    labels: tuple[str, ...] = ()
    slices: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def digest(self) -> str:
        """Identity of what is asked: ids and texts."""
        return digest([self.ids, self.texts])

    def part(self) -> SetPart:
        """As the report holds it."""
        return SetPart(
            dataset=self.dataset,
            task=self.task,
            rows=len(self.ids),
            train=self.train,
            gold=sum(len(pairs or ()) for pairs in self.gold),
            slices={name: int(rows.sum()) for name, rows in self.slices.items()},
        )


def read_set(recipe: Recipe, run: RunFolder, dataset: str) -> ScoredSet:
    """Read one dataset's test rows. Raises RunError where the rows stage has not made any."""
    own = dataset == OWN
    told, folder = (recipe, run) if own else (recipe.of_dataset(dataset), run.of_dataset(dataset))
    path = folder.rows / "test.jsonl"
    if not path.exists():
        raise RunError(f"{folder.path} has no rows/test.jsonl: run python -m synth on the recipe first")
    train = count_rows(folder.rows / "train.jsonl")
    found = _READERS[told.task](dataset, folder, train)
    if not found.ids:
        raise no_test_row(told, folder)
    return found


def _tuple_set(task: TupleTask) -> Callable[[str, RunFolder, int], ScoredSet]:
    def read(dataset: str, folder: RunFolder, train: int) -> ScoredSet:
        rows = list(read_rows(folder.rows / "test.jsonl", AspectRow))
        gold = tuple(gold_pairs(task, row.aspects) for row in rows)
        return ScoredSet(
            dataset, task, folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
            gold=gold, slices=_slices(rows),
        )  # fmt: skip

    return read


def _understanding_set(dataset: str, folder: RunFolder, train: int) -> ScoredSet:
    rows = list(read_rows(folder.rows / "test.jsonl", UnderstandingRow))
    return ScoredSet(
        dataset, "understanding", folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
        gold=tuple(_analysis_pairs(row) for row in rows), rewrites=tuple(row.rewrite for row in rows),
        slices=_slices(rows),
    )  # fmt: skip


def _analysis_pairs(row: UnderstandingRow) -> tuple[Pair, ...] | None:
    if row.analysis is None:
        return None
    return tuple((plain(one.target), one.sentiment) for one in row.analysis)


def _sentiment_set(dataset: str, folder: RunFolder, train: int) -> ScoredSet:
    rows = [row for row in read_rows(folder.rows / "test.jsonl", LabelRow) if row.gold in SENTIMENTS]
    return ScoredSet(
        dataset, "sentiment", folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
        labels=tuple(str(row.gold) for row in rows), slices=_slices(rows),
    )  # fmt: skip


_READERS: dict[str, Callable[[str, RunFolder, int], ScoredSet]] = {
    "atsa": _tuple_set("atsa"),
    "acsa": _tuple_set("acsa"),
    "understanding": _understanding_set,
    "sentiment": _sentiment_set,
}


def _slices(rows: Sequence[AspectRow | LabelRow | UnderstandingRow]) -> dict[str, NDArray[np.bool_]]:
    """All rows, then a slice for each value of each column that rows are told apart by, the most frequent first."""
    found = {ALL: np.ones(len(rows), dtype=np.bool_)}
    for column in dict.fromkeys(column for row in rows for column in row.slices):
        values = [row.slices.get(column) for row in rows]
        for value, _ in Counter(value for value in values if value is not None).most_common(MOST_SLICES):
            name = slice_name(column, value)
            if name is not None:
                found[name] = found.get(name, False) | np.array([one == value for one in values])
    return found


def slice_name(column: str, value: str) -> str | None:
    """`implicit` for its yes, None for its no, `language=de` for all else."""
    if value.strip().lower() in _NO:
        return None
    return column if value.strip().lower() in _YES else f"{column}={value}"

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
_YES, _NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}


@dataclass(frozen=True)
class ScoredSet:
    """The test rows of one dataset, n of them, in the order of every array.

    gold: tuples of each text; of understanding (target, sentiment) of the teacher's analysis, None where it has none.
    rewrites: the teacher's, of understanding alone. labels: of sentiment alone. slices: name -> (n,) which rows.
    cut: column -> how many values it has, where not all of them are slices. folder: where its rows lie. train: how many
    train rows it has.
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
    cut: dict[str, int] = field(default_factory=dict)

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
            cut=self.cut,
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
        slices, cut = slices_of([row.slices for row in rows])
        return ScoredSet(
            dataset, task, folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
            gold=gold, slices=slices, cut=cut,
        )  # fmt: skip

    return read


def _understanding_set(dataset: str, folder: RunFolder, train: int) -> ScoredSet:
    rows = list(read_rows(folder.rows / "test.jsonl", UnderstandingRow))
    slices, cut = slices_of([row.slices for row in rows])
    return ScoredSet(
        dataset, "understanding", folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
        gold=tuple(_analysis_pairs(row) for row in rows), rewrites=tuple(row.rewrite for row in rows),
        slices=slices, cut=cut,
    )  # fmt: skip


def _analysis_pairs(row: UnderstandingRow) -> tuple[Pair, ...] | None:
    if row.analysis is None:
        return None
    return tuple(dict.fromkeys((plain(one.target), one.sentiment) for one in row.analysis))


def _sentiment_set(dataset: str, folder: RunFolder, train: int) -> ScoredSet:
    rows = [row for row in read_rows(folder.rows / "test.jsonl", LabelRow) if row.gold in SENTIMENTS]
    slices, cut = slices_of([row.slices for row in rows])
    return ScoredSet(
        dataset, "sentiment", folder, tuple(row.id for row in rows), tuple(row.text for row in rows), train,
        labels=tuple(str(row.gold) for row in rows), slices=slices, cut=cut,
    )  # fmt: skip


_READERS: dict[str, Callable[[str, RunFolder, int], ScoredSet]] = {
    "atsa": _tuple_set("atsa"),
    "acsa": _tuple_set("acsa"),
    "understanding": _understanding_set,
    "sentiment": _sentiment_set,
}


def slices_of(told: Sequence[dict[str, str]]) -> tuple[dict[str, NDArray[np.bool_]], dict[str, int]]:
    """All rows, then a slice for each value of each column, the most frequent first; and column -> its values, where
    there are too many. A column of nothing but yes and no (`implicit`) is one slice, its yes.

    told: column -> value of each row.
    """
    found, cut = {ALL: np.ones(len(told), dtype=np.bool_)}, {}
    for column in dict.fromkeys(column for one in told for column in one):
        values = [one.get(column) for one in told]
        sizes = Counter(value for value in values if value is not None)
        said = {value: value.strip().lower() for value in sizes}
        if set(said.values()) <= _YES | _NO:
            if not _YES.isdisjoint(said.values()):
                found[column] = np.array([value is not None and said[value] in _YES for value in values])
            continue
        for value, _ in sizes.most_common(MOST_SLICES):
            found[f"{column}={value}"] = np.array([one == value for one in values])
        if len(sizes) > MOST_SLICES:
            cut[column] = len(sizes)
    return found, cut

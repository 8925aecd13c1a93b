"""Test texts that a student has met before: in the train or validation rows of what it began with, whose splits are
others.

A dataset's own splits are kept apart when its rows are made; those of two sources are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eval.tuple_scores import Marked
from finetune.seq2seq_lessons import TaughtRow, training_rows, validation_rows
from recipes.counts import counted
from recipes.rows import count_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import rows_folder
from recipes.tuple_counts import plain


@dataclass(frozen=True)
class Met:
    """Test texts of a dataset that are among rows of `link`. who: the students of its chain. of: texts in all.

    splits: of which rows, train or validation. places: of the test rows that have such a text.
    """

    dataset: str
    link: str
    who: tuple[str, ...]
    splits: tuple[str, ...]
    texts: int
    of: int
    places: frozenset[int]

    def text(self) -> str:
        """A sentence for the report."""
        found = f"{self.texts:,} of {counted(self.of, 'test text')} of {self.dataset}"
        where = f"the {' and '.join(self.splits)} rows of {self.link}"
        return f"{found} are among {where}: that may flatter {' and '.join(self.who)} there."


def met_before(recipe: Recipe, run: RunFolder, models: Sequence[Marked]) -> Iterator[Met]:
    """Which test texts of a dataset a student, or what it began with, was trained or chosen on."""
    sat = [one for one in models if one.role == "student"]
    asked = {one.scored.dataset: [_key(text) for text in one.scored.texts] for one in sat}
    texts = frozenset(key for keys in asked.values() for key in keys)
    for link in dict.fromkeys(link for one in sat for link in chain(recipe, one.name)):
        rows = rows_folder(recipe, link, run)
        met = [one for one in sat if link in chain(recipe, one.name) and one.scored.folder.rows != rows]
        if not met or not count_rows(rows / "train.jsonl"):
            continue
        read = {"train": _among(texts, training_rows(recipe, link, run))}
        if (rows / "validation.jsonl").exists():
            read["validation"] = _among(texts, validation_rows(recipe, link, run))
        for dataset in dict.fromkeys(one.scored.dataset for one in met):
            keys, who = asked[dataset], tuple(one.name for one in met if one.scored.dataset == dataset)
            both = {split: found.intersection(keys) for split, found in read.items()}
            known = frozenset[str]().union(*both.values())
            if known:
                splits = tuple(split for split, found in both.items() if found)
                places = frozenset(place for place, key in enumerate(keys) if key in known)
                yield Met(dataset, link, who, splits, len(known), len(set(keys)), places)


def rows_met(met: Sequence[Met], name: str, dataset: str) -> int:
    """Test rows of a dataset with a text that `name`, or what it began with, was trained or chosen on."""
    found = [one.places for one in met if one.dataset == dataset and name in one.who]
    return len(frozenset[int]().union(*found))


def chain(recipe: Recipe, name: str) -> list[str]:
    """A student, what it started from, and so on."""
    base = recipe.base_student(name)
    return [name] if base is None else [name, *chain(recipe, base)]


def _among(texts: frozenset[str], rows: Iterable[TaughtRow]) -> set[str]:
    return {key for row in rows if (key := _key(row.text)) in texts}


def _key(text: str) -> str:
    return plain(text).casefold()

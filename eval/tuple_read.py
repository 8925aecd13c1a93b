"""Test texts that a student has read before: in the train rows of what it began with, whose splits are others.

A dataset's own splits are kept apart when its rows are made; those of two sources are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.tuple_scores import Marked
from finetune.seq2seq_lessons import training_rows
from recipes.counts import counted
from recipes.rows import count_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import rows_folder
from recipes.tuple_counts import plain


def read_before(recipe: Recipe, run: RunFolder, models: Sequence[Marked]) -> Iterator[str]:
    """How many test texts of a dataset are in which train rows, and of whom that may flatter the figures."""
    sat = [one for one in models if one.role == "student"]
    asked = {one.scored.dataset: {_key(text) for text in one.scored.texts} for one in sat}
    texts = frozenset[str]().union(*asked.values())
    for link in dict.fromkeys(link for one in sat for link in chain(recipe, one.name)):
        rows = rows_folder(recipe, link, run)
        met = [one for one in sat if link in chain(recipe, one.name) and one.scored.folder.rows != rows]
        if not met or not count_rows(rows / "train.jsonl"):
            continue
        read = {key for row in training_rows(recipe, link, run) if (key := _key(row.text)) in texts}
        for dataset in dict.fromkeys(one.scored.dataset for one in met):
            who = [one.name for one in met if one.scored.dataset == dataset]
            if both := asked[dataset] & read:
                found = f"{len(both):,} of {counted(len(asked[dataset]), 'test text')} of {dataset}"
                yield f"{found} are among the train rows of {link}: that may flatter {' and '.join(who)} there."


def chain(recipe: Recipe, name: str) -> list[str]:
    """A student, what it started from, and so on."""
    base = recipe.base_student(name)
    return [name] if base is None else [name, *chain(recipe, base)]


def _key(text: str) -> str:
    return plain(text).casefold()

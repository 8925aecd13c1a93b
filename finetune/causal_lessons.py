"""What a generative student is taught: rows of its task, and those rows as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.formats import Encoded, Renderer
from finetune.rejected import Rejected, name_rows
from recipes.errors import RunError, TrainingError
from recipes.rows import ResponseRow, Split, read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.splits import rank


@dataclass(frozen=True)
class CausalLesson:
    """One side of the split as a generative student sees it: rows as tokens, and those that are left out."""

    ids: list[str]
    rows: list[Encoded]
    rejected: list[Rejected]

    def __len__(self) -> int:
        return len(self.ids)


def training_rows(recipe: Recipe, name: str, run: RunFolder) -> list[ResponseRow]:
    """The rows that `name` trains on: at most `limit` of them, a draw that is the same for every seed of training.

    Raises RunError where they are not there, TrainingError where there is none or a row lacks what is asked for.
    """
    rows = _read(recipe, name, run, "train")
    if not rows:
        raise TrainingError(f"students.{name}: {run.rows / 'train.jsonl'} has no rows to train on")
    limit = recipe.causal(name).limit
    if limit is None or limit >= len(rows):
        return rows
    drawn = {row.id for row in sorted(rows, key=lambda row: rank(recipe.source.seed, f"limit:{row.id}"))[:limit]}
    return [row for row in rows if row.id in drawn]


def validation_rows(recipe: Recipe, name: str, run: RunFolder) -> list[ResponseRow]:
    """The rows whose loss chooses the best checkpoint; may be empty."""
    return _read(recipe, name, run, "validation")


def test_rows(recipe: Recipe, name: str, run: RunFolder) -> list[ResponseRow]:
    """The rows that `name` is scored on, as it would be taught them; may be empty."""
    return _read(recipe, name, run, "test")


def _read(recipe: Recipe, name: str, run: RunFolder, split: Split) -> list[ResponseRow]:
    path = run.rows / f"{split}.jsonl"
    if not path.exists():
        raise RunError(f"{path} is missing: run python -m synth on the recipe first")
    rows = read_rows(path, ResponseRow)
    if recipe.causal(name).rows == "task":
        return list(rows)
    return _distinct([_description(row, name) for row in rows])


def _description(row: ResponseRow, student: str) -> ResponseRow:
    """The product of a row as title -> description."""
    missing = [field for field in ("title", "description") if not row.fields.get(field, "").strip()]
    if missing:
        raise TrainingError(
            f"students.{student}: rows: description needs the fields title and description, and the row {row.id} has "
            f"no {missing[0]}: name it in source.fields"
        )
    said = {"question": row.fields["title"], "response": row.fields["description"], "reasoning": None, "history": ()}
    return row.model_copy(update=said)


def _distinct(rows: Sequence[ResponseRow]) -> list[ResponseRow]:
    """Each product once, however many rows were made of it."""
    found: dict[tuple[str, str], ResponseRow] = {}
    for row in rows:
        found.setdefault((row.question, row.response), row)
    return list(found.values())


def encode_rows(
    renderer: Renderer, rows: Sequence[ResponseRow], max_length: int, split: Split, student: str
) -> CausalLesson:
    """Rows as tokens; those of more than `max_length` are rejected.

    Raises TrainingError, naming rows, where an answer does not end with the token that ends it (the student would never
    learn to stop) or has no token at all (there would be nothing under the loss).
    """
    encoded = [renderer.encode(row) for row in rows]
    ids = [row.id for row in rows]
    _refuse(
        [one for one, row in zip(ids, encoded, strict=True) if row.start >= len(row.input_ids)],
        student, "have no token under the loss: all of them belong to the prompt",
    )  # fmt: skip
    _refuse(
        [one for one, row in zip(ids, encoded, strict=True) if row.input_ids[-1] not in renderer.stops],
        student, "do not end with the token that ends an answer: the student would never stop",
    )  # fmt: skip
    kept = [place for place, row in enumerate(encoded) if len(row.input_ids) <= max_length]
    rejected = [
        Rejected(id=ids[place], split=split, reason=f"longer than max_length {max_length}", tokens=len(row.input_ids))
        for place, row in enumerate(encoded)
        if len(row.input_ids) > max_length
    ]
    return CausalLesson([ids[place] for place in kept], [encoded[place] for place in kept], rejected)


def _refuse(ids: Sequence[str], student: str, what: str) -> None:
    if ids:
        raise TrainingError(f"students.{student}: {len(ids):,} of its rows {what} ({name_rows(ids)}); is format right?")

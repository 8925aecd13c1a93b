"""The questions of a generative comparison: test rows, each with the response that answers are held against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from eval.scored import no_test_row
from recipes.errors import RunError
from recipes.rows import ResponseRow, read_rows
from recipes.runs import RunFolder, digest
from recipes.schema import Recipe
from synth.splits import rank
from synth.wording import meta_talk, self_talk


@dataclass(frozen=True)
class Questions:
    """The rows asked about, in the order of the file. of: how many test rows they were drawn from.

    facts: whether the rows hold what an answer can be checked against (a product's title and description).
    task: the recipe's.
    """

    rows: tuple[ResponseRow, ...]
    of: int
    facts: bool
    task: str

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(row.id for row in self.rows)

    @property
    def references(self) -> list[str]:
        """The responses of the teacher, or of the source where no teacher is asked."""
        return [row.response for row in self.rows]

    def sources(self, place: int) -> list[str]:
        """What the answer to a row may take its numbers, names and quotations from: the facts and the question."""
        row = self.rows[place]
        return [*row.fields.values(), row.question, *(turn.content for turn in row.history)] if self.facts else []

    def talk(self, place: int, response: str) -> str | None:
        """What an answer to a row says of things that its reader was not shown, as synth.quality filters rows by it."""
        if self.task == "chat":
            return self_talk(response)
        return meta_talk(response, self.rows[place].question if self.task == "description" else "")

    def digest(self) -> str:
        """Identity of what is asked and of what the loss is taken on."""
        asked = [
            [row.id, row.question, [turn.model_dump() for turn in row.history], row.reasoning, row.response]
            for row in self.rows
        ]
        return digest(asked)


def read_questions(recipe: Recipe, run: RunFolder) -> Questions:
    """At most `evaluation.questions` test rows, a seeded draw. Raises RunError where there is none."""
    path = run.rows / "test.jsonl"
    if not path.exists():
        raise RunError(f"{run.path} has no rows/test.jsonl: run python -m synth on the recipe first")
    rows = list(read_rows(path, ResponseRow))
    if not rows:
        raise no_test_row(recipe, run)
    twice = [row_id for row_id, times in Counter(row.id for row in rows).items() if times > 1]
    if twice:
        raise RunError(f"{run.rows}: the test row {twice[0]!r} is there twice; delete rows/ and run synth again")
    how = recipe.evaluation
    drawn = {row.id for row in sorted(rows, key=lambda row: rank(how.seed, f"questions:{row.id}"))[: how.questions]}
    chosen = tuple(row for row in rows if row.id in drawn)
    return Questions(chosen, len(rows), recipe.task != "chat" and any(row.fields for row in chosen), recipe.task)

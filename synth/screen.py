"""All filters of one build, whatever its task makes: which rows are kept, and which rejects the others become."""

from __future__ import annotations

from types import TracebackType

from recipes.rows import LabelRow, Reject, ResponseRow
from recipes.schema import GENERATIVE, Recipe
from synth.filters import label_reject
from synth.tasks.asking import Settled


class Screen:
    """Use as a context manager; `begin` before each pass over the rows, then `judge` for each of them, in order."""

    def __init__(self, recipe: Recipe) -> None:
        self.synthesis = recipe.synthesis
        self.quality = None
        if recipe.task in GENERATIVE:
            from synth.quality import Quality  # 30 ms of patterns that labels do without

            self.quality = Quality(recipe)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.quality is not None:
            self.quality.close()

    def begin(self) -> None:
        """Forget the rows that were kept so far: near duplicates are those of one pass."""
        if self.quality is not None:
            self.quality.forget()

    def judge(self, row: Settled) -> Settled:
        """The row where it is kept, else the reject that it becomes; a reject stays one."""
        if isinstance(row, Reject):
            return row
        if isinstance(row, LabelRow):
            return label_reject(row, self.synthesis) or row
        if not isinstance(row, ResponseRow):
            return row  # readings of reviews are judged where they are parsed
        assert self.quality is not None, "response rows belong to a generative task"
        return self.quality.reject(row) or row

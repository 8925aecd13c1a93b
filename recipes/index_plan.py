"""The plan of a recipe's catalogue: how many documents it has, what must be embedded, and who answers from it."""

from __future__ import annotations

from dataclasses import dataclass

from recipes.assistant import Assistant
from recipes.counts import counted
from recipes.pending import StagePlan
from recipes.retrieval import Catalogue
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import index_inputs
from recipes.tables import count_table

_LEDGER = "index/catalogue.sqlite"
_ALL = frozenset({"embedding changed", "chunks changed"})
"""Why every document is embedded anew."""
_NONE = frozenset({"threshold changed", "server changed"})
"""Why none is."""


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """stage: why it must run, if it must. held: documents and pieces of the index that was finished, None where there
    is none. begun: there is one that was not finished. rows: of the catalogue, None where they are not known or need
    not be counted.
    """

    catalogue: Catalogue
    model: str
    stage: StagePlan
    held: tuple[int, int] | None
    begun: bool
    rows: int | None

    def line(self) -> str:
        """The plan in a line."""
        if self.held is not None and not self.stage.reasons:
            pieces = counted(self.held[1], "piece")
            return f"up to date: {counted(self.held[0], 'document')} in {pieces}, embedded by {self.model}"
        where = self.catalogue.path or self.catalogue.hub
        count = (
            f"the documents of {where}" if self.rows is None else f"up to {counted(self.rows, 'document')} of {where}"
        )
        return f"to do: {'; '.join(self.stage.reasons)}; {count}, {self._embedded()}"

    def _embedded(self) -> str:
        if self.held is None and self.begun:
            return f"of which {self.model} embeds what is not in yet: indexing was stopped on the way"
        if self.held is None:
            return f"all embedded by {self.model}"
        if _ALL.intersection(self.stage.reasons):
            return f"all embedded anew by {self.model}"
        if _NONE.issuperset(self.stage.reasons):
            return "of which none is embedded anew"
        return f"of which {self.model} embeds what is not among the {self.held[0]:,} in the index, or reads otherwise"


def plan_index(recipe: Recipe, run: RunFolder) -> IndexPlan | None:
    """What indexing will do; None where nothing is retrieved. Raises SourceError where the catalogue cannot be read."""
    if recipe.retrieval is None:
        return None
    catalogue = recipe.retrieval.catalogue
    stage = StagePlan("index", why_index_stale(recipe, run))
    manifest, there = run.manifest("index"), (run.path / _LEDGER).is_file()
    held = None if manifest is None or not there else (int(manifest.facts["documents"]), int(manifest.facts["chunks"]))
    rows = catalogue.limit
    if catalogue.path is not None and stage.reasons:
        rows = count_table(recipe.resolve(catalogue.path), catalogue.limit)
    begun = held is None and there
    return IndexPlan(catalogue, recipe.retrieval.embedding.model, stage, held, begun, rows)


def why_index_stale(recipe: Recipe, run: RunFolder) -> list[str]:
    """Why the index must be brought up to date; empty where it is."""
    reasons = run.why_stale("index", index_inputs(recipe))
    missing = run.manifest("index") is not None and not (run.path / _LEDGER).is_file()
    return [*reasons, f"{_LEDGER} is missing"] if missing else reasons


def answers_line(recipe: Recipe, assistant: Assistant) -> str:
    """Who answers."""
    if assistant.endpoint is not None:
        return f"{assistant.endpoint.model} ({assistant.endpoint.base_url})"
    if assistant.model == "teacher":
        return f"{recipe.teacher.model} ({recipe.teacher.where()})"
    return "extractive: sentences of the passages, no model" if assistant.model == "extractive" else assistant.model

"""The questions that retrieval is scored on: a file of the user's, or questions made from the catalogue's own words.

Made questions are about other documents than those that the threshold was fitted on, where the catalogue has enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.calibrate import drawn as fitted_on
from rag.documents import Document
from rag.index import Index
from rag.off_topic import OFF_TOPIC
from rag.own_questions import KINDS, own_questions
from rag.signals import rarity
from recipes.errors import RunError
from recipes.queries import Query, read_queries
from recipes.rows import write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.splits import rank

OFF_TOPIC_KIND = "off topic"
_SPARE = 3
"""Halves of the questions wanted that are tried for."""
OFF_TOPIC_SHARE = 5
"""One question that no catalogue answers for so many that this one does."""


@dataclass(frozen=True)
class QuerySet:
    """What is asked. origin: the user's file; None where the questions were made. notes: what a reader must know."""

    queries: tuple[Query, ...]
    origin: Path | None
    notes: tuple[str, ...]


def queries_path(run: RunFolder) -> Path:
    """Where the questions are written down, in the form of a user's file."""
    return run.path / "retrieval" / "queries.jsonl"


def own_set(recipe: Recipe) -> list[Query] | None:
    """The questions of the user's file; None where there is none. Raises SourceError with its mistakes."""
    how = recipe.evaluation.retrieval
    return None if how.path is None else read_queries(recipe.resolve(how.path), how)


def open_queries(recipe: Recipe, run: RunFolder, index: Index) -> QuerySet:
    """The questions to ask, written down in the run folder. Raises SourceError; RunError where none can be asked."""
    own = own_set(recipe)
    found = _made(recipe, index) if own is None else _known(recipe, index, own)
    write_rows(queries_path(run), found.queries)
    return found


def _known(recipe: Recipe, index: Index, queries: Sequence[Query]) -> QuerySet:
    """The user's questions, without the documents that the catalogue does not have."""
    path = recipe.resolve(recipe.evaluation.retrieval.path or "")
    there = set(index.document_ids())
    kept, missing = [], []
    for query in queries:
        relevant = {name: grade for name, grade in query.relevant.items() if name in there}
        missing += [name for name in query.relevant if name not in there]
        if relevant or not query.relevant:
            kept.append(query.model_copy(update={"relevant": relevant}))
    if not kept:
        raise RunError(
            f"{path}: none of its documents is in the catalogue: its ids are to be those of retrieval.catalogue.id, "
            f"such as {next(iter(there), 'none')!r}, and not {missing[0]!r}"
        )
    notes = []
    if missing:
        lost = len(queries) - len(kept)
        notes.append(
            f"{path.name} names documents that are not in the catalogue: {len(missing):,}, such as {missing[0]}. They "
            f"count nowhere. Questions left out for having no other: {lost:,}."
        )
    return QuerySet(tuple(kept), path, tuple(notes))


def _made(recipe: Recipe, index: Index) -> QuerySet:
    how = recipe.evaluation
    ids, fitted = index.document_ids(), {document.id for document in fitted_on(index)}
    fresh = [name for name in ids if name not in fitted]
    unseen = len(fresh) * len(KINDS) >= how.retrieval.questions
    pool = sorted(fresh if unseen else ids, key=lambda name: rank(how.seed, f"query:{name}"))
    documents = list(index.documents(pool[: 2 * how.retrieval.questions]).values())
    made = _questions(index, documents, how.retrieval.questions, how.seed)
    foreign = sorted(OFF_TOPIC, key=lambda text: rank(how.seed, text))[: max(1, len(made) // OFF_TOPIC_SHARE)]
    made += [Query(query=text, relevant={}, kind=OFF_TOPIC_KIND) for text in foreign]
    notes = [
        "The questions are made from the catalogue's own words, one document being right for each: they are easier "
        "than a shopper's, and say more about one search beside another than about your customers. Those off topic "
        "are the ones that the threshold was fitted on. Correct a copy of retrieval/queries.jsonl and name it in "
        "evaluation.retrieval.path."
    ]
    if not unseen:
        notes.append("The catalogue is small: the threshold was fitted on other questions about the same documents.")
    return QuerySet(tuple(made), None, tuple(notes))


def _questions(index: Index, documents: Sequence[Document], most: int, seed: int) -> list[Query]:
    """Questions about documents, the kinds in turn; none twice. Not every kind can be made of every document."""

    def rare(word: str) -> float:
        return rarity(len(index), max(index.frequency(index.tokens(word)), default=0))

    each = max(1, min(len(KINDS), -(-_SPARE * most // (2 * max(1, len(documents))))))
    found = {
        " ".join(text.split()): (kind, document.id)
        for kind, text, document in own_questions(documents, rare, each, seed + 1)  # the threshold's were made with 0
    }
    if not found:
        raise RunError("no question can be made from this catalogue: name a file in evaluation.retrieval.path")
    return [Query(query=text, relevant={name: 1.0}, kind=kind) for text, (kind, name) in found.items()][:most]

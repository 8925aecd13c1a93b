"""The index stage: the catalogue is brought into the ledger, the vector store and the index of words."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import orjson

from rag.embedder import Embedder, embedding_fingerprint
from rag.index import Index
from rag.index_folder import IndexFolder
from rag.index_report import IndexReport, read_report
from rag.indexing_pass import Pass
from rag.ledger import Ledger, open_ledger
from rag.lexical import open_lexical
from rag.vector_writer import VectorWriter
from rag.vectors import open_vectors
from recipes.console import say
from recipes.errors import RunError
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe
from recipes.stages import index_inputs

STAGE = "index"


def build_index(recipe: Recipe, run: RunFolder) -> IndexReport:
    """Bring index/ up to date. Raises SourceError, RunError; what was written until then is found next time."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    inputs = index_inputs(recipe)
    folder = IndexFolder(run)
    manifest, stale = run.manifest(STAGE), run.why_stale(STAGE, inputs)
    if not stale and not folder.ledger.exists():
        stale = [f"{folder.ledger} is missing"]
    if not stale and manifest is not None:
        report = read_report(manifest.facts)
        say(f"index: up to date ({report.documents:,} documents, {folder.path})")
        return report
    say(f"index: {'; '.join(stale)}")
    report, start = IndexReport(), time.monotonic()
    with folder.writing(), open_ledger(folder.ledger) as ledger:
        run.begin(STAGE)
        try:
            _write(recipe, folder, ledger, report)
        except sqlite3.Error as error:  # the disk is full, or a file is damaged
            raise RunError(f"{folder.ledger}: {error}; what was written before is kept") from None
    report.seconds = round(time.monotonic() - start, 2)
    say(f"index: {report.sentence()}")
    write_atomic(folder.report, orjson.dumps(report.facts(), option=orjson.OPT_INDENT_2))
    run.finish(STAGE, inputs, [folder.report], report.facts())
    return report


def _write(recipe: Recipe, folder: IndexFolder, ledger: Ledger, report: IndexReport) -> None:
    assert recipe.retrieval is not None
    _begin(recipe, folder, ledger)
    with VectorWriter(folder, ledger, tidy=True) as writer:
        passing = Pass(recipe, ledger, writer, report)
        try:
            passing.run()
        except KeyboardInterrupt:
            say(f"index: stopped; {ledger.counts()[0]:,} documents are in, and the same command goes on from there")
            raise
        report.documents, report.chunks = ledger.counts()
        names = list(recipe.retrieval.catalogue.metadata)
        index = Index(ledger, writer.store, open_lexical(folder.path, ledger), names)
        _set_threshold(recipe, ledger, index, report, passing.open_embedder)


def _set_threshold(
    recipe: Recipe, ledger: Ledger, index: Index, report: IndexReport, embedder: Callable[[], Embedder]
) -> None:
    """Set anew how sure a search must be, where enough has changed since it was set."""
    from rag.calibrate import FACT, calibrate, is_due, threshold_fact

    assert recipe.retrieval is not None
    changed = report.added + report.retexted + report.removed + int(ledger.fact("since threshold") or 0)
    if not is_due(ledger.fact(FACT), recipe.retrieval, changed, report.documents):
        ledger.set_fact("since threshold", changed)
        return
    threshold = calibrate(index, embedder(), recipe.retrieval)
    ledger.set_fact(FACT, threshold_fact(threshold, recipe.retrieval))
    ledger.set_fact("since threshold", 0)
    if threshold is not None:
        say(
            f"index: of held-out questions about the catalogue {threshold.refused:.0%} would be refused, of those it "
            f"does not answer {threshold.accepted:.0%} let through (retrieval.refuse: {recipe.retrieval.refuse:g})"
        )


def _begin(recipe: Recipe, folder: IndexFolder, ledger: Ledger) -> None:
    """Set the facts of a new index; of one that was made by another embedding nothing is kept."""
    assert recipe.retrieval is not None
    facts: dict[str, Any] = {"embedding": embedding_fingerprint(recipe), "server": recipe.retrieval.server}
    if ledger.fact("embedding") not in (None, facts["embedding"]):
        say("index: the embedding is another one now: every document is embedded anew")
        _forget(folder, ledger)
    if ledger.fact("server") != facts["server"]:
        facts["generation"] = None  # another store, and nothing is there
    if ledger.fact("collection") is None:
        facts["collection"] = f"{recipe.name}-{secrets.token_hex(4)}"
    for name, value in facts.items():
        ledger.set_fact(name, value)


def _forget(folder: IndexFolder, ledger: Ledger) -> None:
    """Take out all documents, and their vectors on a server."""
    if ledger.fact("server") is not None:
        with open_vectors(folder.path, ledger.fact("server"), ledger.fact("collection")) as store:
            store.drop()
    ledger.clear()

"""The index stage: the catalogue is brought into the ledger, the vector store and the index of words."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable

import orjson

from rag.embedder import Embedder
from rag.index import Index
from rag.index_folder import IndexFolder
from rag.index_report import IndexReport, read_report
from rag.indexing_pass import Pass, embedder_of_another
from rag.ledger import Ledger, open_ledger
from rag.lexical import open_lexical
from rag.vector_writer import VectorWriter
from rag.vectors import open_vectors
from recipes.console import say
from recipes.errors import RunError, TutelageError
from recipes.index_plan import why_index_stale
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Recipe
from recipes.stages import embedding_fingerprint, index_inputs

STAGE = "index"


def build_index(recipe: Recipe, run: RunFolder) -> IndexReport:
    """Bring index/ up to date. Raises SourceError, RunError; what was written until then is found next time."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    inputs = index_inputs(recipe)
    folder = IndexFolder(run)
    manifest, stale = run.manifest(STAGE), why_index_stale(recipe, run)
    if not stale and manifest is not None:
        report = read_report(manifest.facts)
        say(f"index: up to date ({report.documents:,} documents, {folder.path})")
        return report
    say(f"index: {'; '.join(stale)}")
    report, start = IndexReport(), time.monotonic()
    with folder.writing(), open_ledger(folder.ledger) as ledger:
        try:
            ahead = embedder_of_another(recipe, ledger)  # before anything of the old index is lost
            run.begin(STAGE)
            _write(recipe, folder, ledger, report, ahead)
        except sqlite3.Error as error:  # the disk is full, or a file is damaged
            raise RunError(f"{folder.ledger}: {error}; what was written before is kept") from None
    report.seconds = round(time.monotonic() - start, 2)
    say(f"index: {report.sentence()}")
    write_atomic(folder.report, orjson.dumps(report.facts(), option=orjson.OPT_INDENT_2))
    run.finish(STAGE, inputs, [folder.report], report.facts())
    return report


def _write(recipe: Recipe, folder: IndexFolder, ledger: Ledger, report: IndexReport, ahead: Embedder | None) -> None:
    assert recipe.retrieval is not None
    _begin(recipe, folder, ledger)
    with VectorWriter(folder, ledger, tidy=True) as writer:
        passing = Pass(recipe, ledger, writer, report, ahead)
        try:
            passing.run()
        except KeyboardInterrupt:
            say(f"index: stopped; {ledger.counts()[0]:,} documents are in, and the same command goes on from there")
            raise
        report.documents, report.chunks = ledger.counts()
        names = list(recipe.retrieval.catalogue.metadata)
        index = Index(ledger, writer.store, open_lexical(folder.path, ledger, writing=True), names)
        _set_threshold(recipe, ledger, index, report, passing.open_embedder)


def _set_threshold(
    recipe: Recipe, ledger: Ledger, index: Index, report: IndexReport, embedder: Callable[[], Embedder]
) -> None:
    """Set anew how sure a search must be, where enough has changed since it was set."""
    from rag.calibrate import FACT, calibrate, is_due, threshold_fact, told

    assert recipe.retrieval is not None
    if not is_due(ledger.fact(FACT), recipe.retrieval, ledger.fact("since threshold") or 0, report.documents):
        return
    threshold = calibrate(index, embedder(), recipe.retrieval)
    ledger.set_fact(FACT, threshold_fact(threshold, recipe.retrieval))
    ledger.set_fact("since threshold", 0)
    for line in told(threshold, recipe.retrieval.refuse, report.documents):
        say(f"index: {line}")


def _begin(recipe: Recipe, folder: IndexFolder, ledger: Ledger) -> None:
    """Set the facts of a new index; of one that was made by another embedding nothing is kept."""
    assert recipe.retrieval is not None
    server, embedding = recipe.retrieval.server, embedding_fingerprint(recipe)
    moved, other = ledger.fact("server") != server, ledger.fact("embedding") not in (None, embedding)
    if moved or other:
        _drop(folder, ledger, moved)
    if other:
        say("index: the embedding is another one now: every document is embedded anew")
        ledger.clear()
    if moved:
        ledger.set_fact("generation", None)  # another store, and nothing is there
    if ledger.fact("collection") is None:
        ledger.set_fact("collection", f"{recipe.name}-{secrets.token_hex(4)}")
    for name, value in (("embedding", embedding), ("server", server), ("server key", recipe.retrieval.server_key_env)):
        ledger.set_fact(name, value)
    if server is not None:
        folder.sweep(None)


def _drop(folder: IndexFolder, ledger: Ledger, moved: bool) -> None:
    """Take the vectors away from their server; where it is used no more, only if it can be reached."""
    server, collection = ledger.fact("server"), ledger.fact("collection")
    if server is None:
        return
    try:
        with open_vectors(folder.path, server, collection, ledger.fact("server key")) as store:
            store.drop()
    except TutelageError as error:
        if not moved:
            raise
        say(f"index: {error}; the collection {collection} is left there")

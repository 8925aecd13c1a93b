"""Ledger and vector store are brought to agree: what is written down is done, what is left over is taken out."""

from __future__ import annotations

from rag.ledger import Ledger
from rag.vectors import MOST, VectorStore
from recipes.console import say


def settle(ledger: Ledger, store: VectorStore, width: int) -> None:
    """Do in the vector store what the ledger says is still to be done there."""
    store.remove(ledger.doomed())
    for ids, vectors in ledger.owed(width, MOST):
        store.add(ids, vectors)
    ledger.settle()


def agrees(ledger: Ledger, store: VectorStore) -> bool:
    """Whether the two agree as far as a glance tells: nobody was stopped while writing, and the numbers are equal."""
    return not (ledger.fact("writing") or ledger.in_debt()) and len(store) == ledger.counts()[1]


def bring_to_agree(ledger: Ledger, store: VectorStore) -> None:
    """Mend what a stop (kill -9, power, a store that was wiped) has left: no text is embedded again for it."""
    width = ledger.fact("width")
    if width is None:  # nothing was ever embedded
        store.remove(list(store.ids()))
        return
    settle(ledger, store, width)
    kept, known = set(store.ids()), set(ledger.places()[0])
    strange, missing = sorted(kept - known), sorted(known - kept)
    store.remove(strange)
    ledger.owe(missing)
    settle(ledger, store, width)
    if strange or missing:
        say(f"index: mended: {len(missing):,} vectors put back, {len(strange):,} of no document taken out")

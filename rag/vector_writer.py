"""Vectors are written: what the ledger says is to be done is done in Chroma, in a new generation of its directory,
which takes the old one's place when it is whole. On a server there are no generations; it looks after its own files.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType

from rag.index_folder import IndexFolder
from rag.ledger import Ledger
from rag.vectors import MOST, VectorStore, open_vectors
from recipes.console import say
from recipes.errors import RunError, TutelageError

CHECKPOINT = 2_500
"""Rows after which a generation is closed: a stop costs no more than to write these again, a second."""
_SHARE = 8
"""Of a large index: no sooner than after one row in so many, so that copying stays little work."""


def agrees(ledger: Ledger, store: VectorStore) -> bool:
    """Whether a store holds what the ledger does: nothing is left to do, and the numbers are equal."""
    if ledger.in_debt():
        return False
    try:
        return len(store) == ledger.counts()[1]
    except RunError:
        return False  # it is damaged, which shows when it is first asked


class VectorWriter:
    """Use as a context manager: on entering, the stores are brought to agree; on leaving, a new generation takes the
    old one's place, unless an error ended the block. Where there is nothing to write there is no new generation.

    tidy: make a store anew that is mostly removed vectors.
    """

    def __init__(self, folder: IndexFolder, ledger: Ledger, tidy: bool = False) -> None:
        self._folder, self._ledger, self._tidy = folder, ledger, tidy
        self._server: str | None = ledger.fact("server")
        self._collection: str = ledger.fact("collection")
        self._key: str | None = ledger.fact("server key")
        self._writes = False  # only while a generation is open that has all that the one before had

    def __enter__(self) -> VectorWriter:
        current = self._ledger.fact("generation")
        if self._server is None and current is not None and not self._is_untidy():
            with suppress(RunError):  # damaged: it is made anew
                self._store = open_vectors(self._folder.generation(current), None, self._collection)
                if agrees(self._ledger, self._store):
                    return self
                self._store.close()
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writes and (kind is None or issubclass(kind, (KeyboardInterrupt, TutelageError))):
            self._end()
        else:
            self._store.close()

    def tell(self) -> None:
        """Do what has been written down since. What was there for long enough takes the old generation's place."""
        if not self._ledger.in_debt():
            return
        if not self._writes:
            self._store.close()
            self._begin()
            return
        self._do()
        if self._server is None and self._done >= max(CHECKPOINT, len(self._store) // _SHARE):
            self._end()
            self._begin()

    @property
    def store(self) -> VectorStore:
        """What is being written to; another one after `tell`."""
        return self._store

    def _begin(self) -> None:
        self._done, self._told, self._generation, self._writes = 0, (0, 0), 0, False
        try:
            self._open(afresh=self._is_untidy())
        except RunError as error:
            if self._server is not None:
                raise
            say(f"index: {error}: it is made anew from {self._folder.ledger.name}, and nothing is embedded again")
            self._generation += 1  # in one process Chroma never opens a directory again that it failed to open
            self._open(afresh=True)
        self._writes = True

    def _open(self, afresh: bool) -> None:
        """Open the store and bring it to agree with the ledger."""
        place = self._folder.path
        if self._server is None:
            old = self._ledger.fact("generation")
            self._generation = max(self._generation, (self._ledger.fact("last generation") or old or 0) + 1)
            place = self._folder.begin(None if afresh else old, self._generation)
            if afresh:
                self._ledger.set_fact("removed", 0)
        self._store = open_vectors(place, self._server, self._collection, self._key)
        try:
            self._do()
            if len(self._store) != self._ledger.counts()[1]:
                self._compare(quietly=afresh)
        except BaseException:
            self._store.close()
            raise

    def _end(self) -> None:
        """Close what was written, and let it be what is read from now on."""
        self._writes = False  # stopped on the way, the old one stays, and what it lacks is still written down
        with self._store:
            self._do()
        if self._server is None:
            self._folder.sync(self._generation)
            self._ledger.settle(self._generation)
            self._folder.sweep(self._generation)

    def _is_untidy(self) -> bool:
        """Whether to make the store anew, since more was removed from it than is in it."""
        return self._tidy and (self._ledger.fact("removed") or 0) > self._ledger.counts()[1]

    def _do(self) -> None:
        """Do in the store what the ledger says, as far as it has not been done."""
        owed, doomed = self._told
        while portion := self._ledger.doomed(doomed, MOST):
            self._store.remove([name for _, name in portion])
            doomed = portion[-1][0]
            self._done += len(portion)
        while (found := self._ledger.owed(owed, MOST)) is not None:
            ids, vectors, owed = found
            self._store.add(ids, vectors)
            self._done += len(ids)
        self._told = (owed, doomed)
        if self._server is not None and self._ledger.in_debt():
            self._ledger.settle(None)
            self._told = (0, 0)

    def _compare(self, quietly: bool) -> None:
        """Mend a store that is not what the ledger says: it lost rows, or somebody else wrote there."""
        kept, known = set(self._store.ids()), set(self._ledger.places()[0])
        strange, missing = sorted(kept - known), sorted(known - kept)
        self._store.remove(strange)
        self._ledger.owe(missing)
        self._told = (0, self._told[1])
        self._do()
        if not quietly:
            say(f"index: mended: {len(missing):,} vectors put back, {len(strange):,} of no document taken out")

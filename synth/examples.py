"""The examples of one build, in a temporary database on disk, so that memory does not grow with their number.

They are read in once, duplicates marked, sides drawn, and then streamed as often as needed in source order (a given
test set first). SQLite removes the file itself, also after a kill.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType

from recipes.errors import RunError, SourceError
from recipes.rows import Example, Reject, Split
from recipes.schema import Recipe, Source
from synth.duplicates import near_groups
from synth.sources import Side, SourceRow, has_test_set, origin, read_source, text_digest
from synth.splits import Dealer, Group, quotas, rank, wanted

_TABLE = """CREATE TABLE example (
    place INTEGER PRIMARY KEY, side TEXT, number INTEGER, id TEXT, text TEXT, gold TEXT,
    name TEXT,      -- digest of the text
    grp TEXT,       -- name of its group of near duplicates
    rank INTEGER,   -- of the group
    stratum TEXT,   -- of the group: a gold label, or empty
    split TEXT,     -- NULL: not drawn
    reason TEXT, detail TEXT)"""
_BATCH = 1_000
_INSERT = (
    "INSERT INTO example (side, number, id, text, gold, name, grp, rank, stratum, reason, detail) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# A test set is read in first: its copy of a text has the smaller place, and the one to train on is the duplicate.
_MARK_DUPLICATES = """
    UPDATE example SET reason = 'duplicate', detail = (
        SELECT 'the same text as row ' || first.number ||
        CASE first.side WHEN 'test' THEN ' of the test rows' ELSE '' END
        FROM example first WHERE first.name = example.name
        AND (first.reason IS NULL OR first.reason = 'duplicate') ORDER BY first.place LIMIT 1)
    WHERE reason IS NULL AND EXISTS (
        SELECT 1 FROM example first WHERE first.name = example.name AND first.place < example.place
        AND (first.reason IS NULL OR first.reason = 'duplicate'))"""
_MARK_NEAR_TEST = """
    UPDATE example SET reason = 'near_duplicate_of_test', detail = (
        SELECT 'near row ' || MIN(near.number) || ' of the test rows' FROM example near
        WHERE near.side = 'test' AND near.reason IS NULL AND near.grp = example.grp)
    WHERE side = 'pool' AND reason IS NULL
    AND grp IN (SELECT grp FROM example WHERE side = 'test' AND reason IS NULL)"""
_STRATA = "SELECT stratum, COUNT(*) FROM example WHERE side = ? AND reason IS NULL GROUP BY stratum"
_GROUPS = """
    SELECT grp, MIN(stratum), COUNT(*) FROM example WHERE side = ? AND reason IS NULL
    GROUP BY grp ORDER BY MIN(rank), grp"""
_GROUPS_LEFT = """
    SELECT grp, MIN(stratum), COUNT(*) FROM example WHERE side = ? AND reason IS NULL
    AND grp NOT IN (SELECT grp FROM dealt) GROUP BY grp ORDER BY MIN(rank), grp"""
_TAKE_DEALT = """
    UPDATE example SET split = (SELECT split FROM dealt WHERE dealt.grp = example.grp)
    WHERE side = ? AND reason IS NULL"""
_DRAWN = "SELECT id, text, gold, split, grp FROM example WHERE split IS NOT NULL ORDER BY place"
_REJECTED = "SELECT id, text, gold, reason, detail FROM example WHERE reason IS NOT NULL ORDER BY place"
_COUNTS = """
    SELECT COALESCE(reason, CASE WHEN split IS NULL THEN 'not drawn' ELSE 'drawn' END) AS fate, COUNT(*)
    FROM example GROUP BY fate"""


class Examples:
    """Use as a context manager. Order of use: `read` (or `add` and `divide`), then `stream`, `rejects` and `counts`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.base = sqlite3.connect("", isolation_level=None)  # "": a temporary file that deletes itself
        for setting in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -500"):  # kB; little is read twice
            self.base.execute(f"PRAGMA {setting}")
        self.base.execute(_TABLE)

    def __enter__(self) -> Examples:
        self.base.execute("BEGIN")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.base.close()
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            raise RunError("the disk with temporary files is full: free some space there, or set TMPDIR") from None

    def read(self, recipe: Recipe) -> None:
        """Read the recipe's source and divide it. Raises SourceError where there is nothing to train or to test on."""
        if has_test_set(self.source) and self.source.test != 0:
            self.add("test", read_source(recipe, "test"))
            if not self._usable("test"):
                raise SourceError(f"{origin(recipe, 'test')}: no usable row to test on")
        self.add("pool", read_source(recipe, "pool"))
        self.divide()

    def add(self, side: Side, rows: Iterable[SourceRow]) -> None:
        """Read in one side. Raises SourceError where an id column holds one id twice."""
        stream = iter(rows)
        while batch := list(islice(stream, _BATCH)):
            self.base.executemany(_INSERT, [self._values(side, row) for row in batch])
        if self.source.id is not None:
            self._check_ids(side)

    def _values(self, side: Side, row: SourceRow) -> tuple[object, ...]:
        name = text_digest(row.text)
        reason, detail = row.unfit or (None, None)
        order = rank(self.source.seed, name)
        return side, row.number, row.id, row.text, row.gold, name, name, order, row.gold or "", reason, detail

    def _check_ids(self, side: Side) -> None:
        found = self.base.execute(
            "SELECT id, MIN(number), MAX(number) FROM example WHERE side = ? GROUP BY id HAVING COUNT(*) > 1 "
            "ORDER BY MIN(number) LIMIT 1",
            (side,),
        ).fetchone()
        if found:
            raise SourceError(
                f"source.id: {found[0]!r} is the id of row {found[1]} and of row {found[2]} ({side} rows); an id must "
                "name one row: name another column, or leave source.id out"
            )

    def divide(self) -> None:
        """Mark duplicates, keep near ones on one side where there is more than one, and draw the splits."""
        self.base.execute("CREATE INDEX by_name ON example (name)")
        self.base.execute(_MARK_DUPLICATES)
        test_set = self._usable("test")
        from_pool = wanted(self.source, self._usable("pool"), with_test=not test_set)
        if test_set or from_pool["test"] or from_pool["validation"]:
            self._group()
        if test_set:
            self.base.execute(_MARK_NEAR_TEST)
            self._draw("test", {"test": min(test_set, self.source.test or test_set)})
            from_pool = wanted(self.source, self._usable("pool"), with_test=False)
        self._draw("pool", from_pool)

    def _usable(self, side: Side) -> int:
        found = self.base.execute("SELECT COUNT(*) FROM example WHERE side = ? AND reason IS NULL", (side,)).fetchone()
        return int(found[0])

    def _group(self) -> None:
        texts = self.base.execute("SELECT name, text FROM example WHERE reason IS NULL")
        groups = near_groups(texts, self.source.near_duplicate, self.base)
        self.base.execute("CREATE INDEX by_group ON example (grp)")
        golds = "(SELECT gold FROM example first WHERE first.name = ? AND reason IS NULL)"
        self.base.executemany(
            f"UPDATE example SET grp = ?, rank = ?, stratum = COALESCE({golds}, '') WHERE name = ?",  # noqa: S608
            ((group, rank(self.source.seed, group), group, name) for name, group in groups.items()),
        )

    def _draw(self, side: Side, totals: dict[Split, int]) -> None:
        if sum(totals.values()) == totals.get("train") == self._usable(side):
            self.base.execute("UPDATE example SET split = 'train' WHERE side = ? AND reason IS NULL", (side,))
            return
        sizes = dict(self.base.execute(_STRATA, (side,)))
        dealer = Dealer(quotas(totals, sizes))
        self.base.execute("CREATE TEMP TABLE dealt (grp TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID")
        self.base.executemany("INSERT INTO dealt VALUES (?, ?)", dealer.deal(self._groups(_GROUPS, side)))
        everything = side == "pool" and self.source.train is None
        rest = list(dealer.deal_rest(self._groups(_GROUPS_LEFT, side), everything))
        self.base.executemany("INSERT INTO dealt VALUES (?, ?)", rest)
        self.base.execute(_TAKE_DEALT, (side,))
        self.base.execute("DROP TABLE dealt")

    def _groups(self, query: str, side: Side) -> Iterator[Group]:
        return (Group(*found) for found in self.base.execute(query, (side,)))

    def stream(self) -> Iterator[Example]:
        """Yield the examples that were drawn."""
        make = Example.model_construct
        for name, text, gold, split, group in self.base.execute(_DRAWN):
            yield make(id=name, fields={"text": text}, gold=gold, split=split, group=group)

    def rejects(self) -> Iterator[Reject]:
        """Yield the source rows that cannot be examples, with the reason."""
        make = Reject.model_construct
        for name, text, gold, reason, detail in self.base.execute(_REJECTED):
            yield make(id=name, text=text, gold=gold, split=None, stage="source", reason=reason, detail=detail)

    def shortfalls(self) -> list[str]:
        """Where the source has fewer usable rows than the recipe wants, in sentences."""
        drawn = Counter(dict(self.base.execute("SELECT split, COUNT(*) FROM example GROUP BY split")))
        found = {"train": drawn["train"] + drawn["validation"], "test": drawn["test"]}
        wanted = {"train": self.source.train or 0, "test": self.source.test or 0}
        return [
            f"source.{name}: {wanted[name]:,} rows are wanted, {found[name]:,} usable ones were left"
            for name in ("train", "test")
            if found[name] < wanted[name]
        ]

    def counts(self) -> dict[str, int]:
        """Rows that were `read`, of these `drawn`, `not drawn`, and rejected (by reason)."""
        found = Counter(dict(self.base.execute(_COUNTS)))
        return {"read": found.total(), "drawn": found.pop("drawn", 0), "not drawn": found.pop("not drawn", 0), **found}

"""The examples of one build, in a temporary database on disk, so that memory does not grow with their number.

They are read in once, duplicates marked, sides drawn, and then streamed as often as needed in source order (a given
test set first). SQLite removes the file itself, also after a kill.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice
from types import TracebackType

from recipes.console import say
from recipes.errors import RunError, SourceError
from recipes.rows import Example, Reject, Split
from recipes.schema import Recipe, Source
from synth import example_queries as sql
from synth.content import decode
from synth.duplicates import near_groups
from synth.sources import Side, SourceRow, has_test_set, origin, read_source, text_digest
from synth.splits import Dealer, Group, quotas, rank, stratum_of, wanted

_BATCH = 1_000
TOLD_SECONDS = 5.0
"""Between two words on how far the reading of a large source has come."""
COMPARED_PER_ROW = 4
LEAST_COMPARED = 30_000
"""Where few rows of many are drawn, only so many (those first in the draw) are compared with each other."""


class Examples:
    """Use as a context manager. Order of use: `read` (or `add` and `divide`), then `stream`, `rejects` and `counts`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.base = sqlite3.connect("", isolation_level=None)  # "": a temporary file that deletes itself
        for setting in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -500"):  # kB; little is read twice
            self.base.execute(f"PRAGMA {setting}")
        self.base.executescript(sql.TABLES)
        self._places = count(1)

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
                raise SourceError(f"{origin(recipe, 'test')}: no usable row to test on{self._unfit('test')}")
        self.add("pool", read_source(recipe, "pool"))
        self.divide()

    def add(self, side: Side, rows: Iterable[SourceRow]) -> None:
        """Read in one side. Raises SourceError where an id column holds one id twice."""
        stream = iter(rows)
        told = time.monotonic()
        while batch := list(islice(stream, _BATCH)):
            places = list(islice(self._places, len(batch)))
            values = [self._values(place, side, row) for place, row in zip(places, batch, strict=True)]
            self.base.executemany(sql.INSERT, values)
            said = ((place, row.content.encode()) for place, row in zip(places, batch, strict=True))
            self.base.executemany(sql.INSERT_CONTENT, said)
            if time.monotonic() - told > TOLD_SECONDS:
                told = time.monotonic()
                say(f"rows: {places[-1]:,} rows of the source are read; they are compared when all are")
        if self.source.id is not None:
            self._check_ids(side)

    def _values(self, place: int, side: Side, row: SourceRow) -> tuple[object, ...]:
        said = row.content
        name = text_digest(said.whole)
        reason, detail = row.unfit or (None, None)
        order = rank(self.source.seed, name)
        opening = None if said.opening is None else text_digest(said.opening)
        own = stratum_of(row.gold, said.slices, self.source)
        drawn_by = name, order, own, own
        return place, side, row.number, row.id, row.gold, name, opening, *drawn_by, said.left_out, reason, detail

    def _check_ids(self, side: Side) -> None:
        found = self.base.execute(sql.ID_TWICE, (side,)).fetchone()
        if found:
            name, first, last, twice = found
            where = " of the test set" if side == "test" else ""
            more = f" (one of {twice:,} such ids)" if twice > 1 else ""
            raise SourceError(
                f"source.id: {name!r} is the id of row {first} and of row {last}{where}{more}; an id must name one "
                "row: name another column, or leave source.id out"
            )

    def divide(self) -> None:
        """Mark duplicates, keep near ones and the rows of a conversation on one side, and draw the splits."""
        self.base.execute("CREATE INDEX by_name ON example (name)")
        self.base.execute(sql.MARK_DUPLICATES)
        times = 1
        while not self._divide(times):
            times *= 4

    def _divide(self, times: int) -> bool:
        """One try; False where too many of the rows that were compared are near test rows, and more are left.

        Only rows that were compared are drawn, so that near ones never end on two sides. Which rows those are comes
        from their ranks, so that the draw does not depend on the order of the rows.
        """
        test_set = self._usable("test")
        from_pool = self._wanted(with_test=not test_set)
        drawn = sum(from_pool.values()) if self.source.train is not None else None
        all_compared = self._compare("test", self.source.test, times) & self._compare("pool", drawn, times)
        if test_set or from_pool["test"] or from_pool["validation"]:
            self._group()
        filled = True
        if test_set:
            self.base.execute(sql.MARK_NEAR_TEST)
            filled = self._draw("test", {"test": min(test_set, self.source.test or test_set)})
            from_pool = self._wanted(with_test=False)
        return self._draw("pool", from_pool) & filled | all_compared

    def _wanted(self, with_test: bool) -> dict[Split, int]:
        """Rows for each split out of the pool. Raises SourceError, with what is wrong with the others."""
        try:
            return wanted(self.source, self._usable("pool"), with_test)
        except SourceError as error:
            raise SourceError(f"{error}{self._unfit('pool')}") from None

    def _unfit(self, side: Side) -> str:
        """Why rows of a side cannot be used, to go on a sentence with: the main reasons, each with its first row."""
        found = [
            f"{many:,} {reason} (first row {row}: {detail})"
            for reason, many, row, detail in self.base.execute(sql.UNFIT, (side,))
        ]
        return f"; unusable are {', '.join(found)}" if found else ""

    def _compare(self, side: Side, rows: int | None, times: int) -> bool:
        """Choose the rows of a side that are compared, for `rows` to be drawn (None: all); whether those are all."""
        most = None if rows is None else times * max(LEAST_COMPARED, COMPARED_PER_ROW * rows)
        bound = None if most is None else self.base.execute(sql.RANK_AT, (side, most)).fetchone()
        self.base.execute(sql.COMPARE, (side, math.inf if bound is None else bound[0]))
        return bound is None

    def _usable(self, side: Side) -> int:
        return int(self.base.execute(sql.USABLE, (side,)).fetchone()[0])

    def _group(self) -> None:
        texts = ((name, decode(said).text) for name, said in self.base.execute(sql.COMPARED))
        alike = self.base.execute(sql.BEGUN_ALIKE)
        groups = near_groups(texts, self.source.near_duplicate, self.base, alike)
        self.base.execute("CREATE INDEX IF NOT EXISTS by_group ON example (grp)")
        self.base.executemany(
            sql.JOIN_GROUP,
            ((group, rank(self.source.seed, group), group, name) for name, group in groups.items()),
        )

    def _draw(self, side: Side, totals: dict[Split, int]) -> bool:
        """Draw the splits of one side; whether there are as many rows as there should be."""
        if sum(totals.values()) == totals.get("train") == self._usable(side):
            self.base.execute(sql.TAKE_ALL, (side,))
            return True
        sizes = dict(self.base.execute(sql.STRATA, (side,)))
        dealer = Dealer(quotas(totals, sizes))
        self.base.execute("CREATE TEMP TABLE dealt (grp TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID")
        self.base.executemany("INSERT INTO dealt VALUES (?, ?)", dealer.deal(self._groups(sql.GROUPS, side)))
        everything = side == "pool" and self.source.train is None
        rest = list(dealer.deal_rest(self._groups(sql.GROUPS_LEFT, side), everything))
        self.base.executemany("INSERT INTO dealt VALUES (?, ?)", rest)
        self.base.execute(sql.TAKE_DEALT, (side,))
        self.base.execute("DROP TABLE dealt")
        return int(self.base.execute(sql.DRAWN_OF, (side,)).fetchone()[0]) >= sum(totals.values())

    def _groups(self, query: str, side: Side) -> Iterator[Group]:
        return (Group(*found) for found in self.base.execute(query, (side,)))

    def stream(self) -> Iterator[Example]:
        """Yield the examples that were drawn."""
        make = Example.model_construct
        for name, said, gold, split, group in self.base.execute(sql.DRAWN):
            content = decode(said)
            yield make(
                id=name, fields=content.fields, history=content.history, gold=gold, slices=content.slices, split=split,
                group=group,
            )  # fmt: skip

    def rejects(self) -> Iterator[Reject]:
        """Yield the source rows that cannot be examples, with the reason."""
        make = Reject.model_construct
        for name, said, gold, reason, detail in self.base.execute(sql.REJECTED):
            content = decode(said)
            yield make(
                id=name, text=content.text, gold=gold, slices=content.slices, split=None, stage="source", reason=reason,
                detail=detail,
            )  # fmt: skip

    def shortfalls(self) -> list[str]:
        """Where the source has fewer usable rows than the recipe wants, in sentences."""
        drawn = Counter(dict(self.base.execute(sql.SPLIT_SIZES)))
        found = {"train": drawn["train"] + drawn["validation"], "test": drawn["test"]}
        wanted = {"train": self.source.train or 0, "test": self.source.test or 0}
        return [
            f"source.{name}: {wanted[name]:,} rows are wanted, {found[name]:,} usable ones were left"
            for name in ("train", "test")
            if found[name] < wanted[name]
        ]

    def conflicts(self) -> list[str]:
        """In a sentence, how many texts the source labels in more than one way."""
        (texts,) = self.base.execute(sql.CONFLICTS).fetchone()
        first = "the label of the first counts, and the others are rejected as duplicate"
        rows = "1 text stands" if texts == 1 else f"{texts:,} texts stand"
        return [f"source: {rows} in several rows with different labels: {first}"] if texts else []

    def left_out(self) -> tuple[int, int]:
        """(conversations that were drawn and end with turns nobody answered, those turns)."""
        conversations, turns = self.base.execute(sql.LEFT_OUT).fetchone()
        return conversations, turns

    def counts(self) -> dict[str, int]:
        """Rows that were `read`, of these `drawn`, `not drawn`, and rejected (by reason)."""
        found = Counter(dict(self.base.execute(sql.FATES)))
        return {"read": found.total(), "drawn": found.pop("drawn", 0), "not drawn": found.pop("not drawn", 0), **found}

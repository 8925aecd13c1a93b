"""Near duplicates: which texts say the same but for a few words, so that a split can keep them on one side.

A text is its set of word 3-grams, each hashed to 64 bits; two texts are near when the Jaccard similarity of their sets
reaches a threshold. Of a long text only the SKETCH smallest hashes are kept (a bottom-k sketch), which makes the
similarity an estimate there; of a short one it is exact. No pair of texts is compared without a reason: two sets that
are near must share a hash among the first few in any order that is the same for all (prefix filtering, Chaudhuri et
al. 2006; Bayardo et al. 2007), so only texts that meet in such a bucket are. Rare hashes come first: what everybody
says brings nobody together, and a hash of one text alone needs no bucket. Nothing random: the same texts give the same
groups on any machine, in any order.
"""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from mmap import mmap

SKETCH = 128
"""Hashes kept of a text."""
WINDOW = 100
"""Texts that one is compared with in one bucket at most: a phrase shared by very many texts must not cost n squared."""

_COUNTERS = 1 << 26
"""Bytes that count in how many texts a hash is; hashes that share one look more frequent than they are. Memory is taken
for those that are used."""

_NOISE = re.compile(r"https?://\S+|www\.\S+|@\w+|[^\w\s]|_")


def words(text: str) -> list[str]:
    """The words that count: no case, links, mentions or punctuation; the text itself where nothing else is left."""
    return _NOISE.sub(" ", text.casefold().replace("'", "").replace("’", "")).split() or [text]


def sketch(text: str) -> array[int]:
    """Sorted hashes of the text's word 3-grams, the SKETCH smallest. Under three words: one hash of them all."""
    parts = words(text)
    grams = {" ".join(parts[at : at + 3]) for at in range(max(1, len(parts) - 2))}
    hashes = (int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "big") >> 1 for gram in grams)
    return array("q", sorted(hashes)[:SKETCH])


def similarity(first: array[int], second: array[int]) -> float:
    """Jaccard similarity of two texts from their sketches: exact while their union is within SKETCH."""
    common = {*first}.intersection(second)
    size = len(first) + len(second) - len(common)
    if size <= SKETCH:
        return len(common) / size
    union = sorted({*first, *second})[:SKETCH]
    return len(common.intersection(union)) / len(union)


def bucket_hashes(hashes: Sequence[int], threshold: float) -> Sequence[int]:
    """The hashes of which two near texts share at least one, both in the same order."""
    return hashes[: len(hashes) - math.ceil(threshold * len(hashes) - 1e-9) + 1]


def near_groups(
    texts: Iterable[tuple[str, str]],
    threshold: float,
    scratch: sqlite3.Connection,
    joined: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Group near texts. `texts` are (name, text) with distinct names; `scratch` is a database for working tables.

    joined: pairs of names that belong together however near their texts are.
    Returns name -> the smallest name of its group, for the names that have company. Memory grows with those only.
    """
    scratch.execute("CREATE TEMP TABLE sketch (name TEXT PRIMARY KEY, hashes BLOB) WITHOUT ROWID")
    rarity = _Rarity()
    for name, text in texts:
        hashes = sketch(text)
        rarity.count(hashes)
        scratch.execute("INSERT INTO sketch VALUES (?, ?)", (name, hashes.tobytes()))
    scratch.execute("CREATE TEMP TABLE bucket (hash INTEGER, name TEXT)")
    for name, packed in scratch.execute("SELECT name, hashes FROM sketch"):
        shared = bucket_hashes(rarity.ordered(_unpacked(packed)), threshold)
        rows = [(at, name) for at in shared if rarity.of(at) > 1]
        scratch.executemany("INSERT INTO bucket VALUES (?, ?)", rows)
    groups = _Groups()
    for pair in joined:
        groups.join(*pair)

    @lru_cache(maxsize=2_000)
    def hashes_of(name: str) -> array[int]:
        return _unpacked(scratch.execute("SELECT hashes FROM sketch WHERE name = ?", (name,)).fetchone()[0])

    for names in _buckets(scratch):
        if len({groups.root(name) for name in names}) == 1:
            continue
        members = sorted((len(hashes_of(name)), hashes_of(name).tobytes()[:64], name) for name in names)
        for at, (size, _, name) in enumerate(members):
            for other_size, _, other in members[at + 1 : at + 1 + WINDOW]:
                if size < threshold * other_size:
                    break
                if groups.root(name) == groups.root(other):
                    continue
                if similarity(hashes_of(name), hashes_of(other)) >= threshold - 1e-9:
                    groups.join(name, other)
    scratch.execute("DROP TABLE bucket")
    scratch.execute("DROP TABLE sketch")
    return {name: groups.root(name) for name in groups.parents}


def _unpacked(packed: bytes) -> array[int]:
    hashes = array("q")
    hashes.frombytes(packed)
    return hashes


class _Rarity:
    """In about how many texts each hash is: never fewer than there are, and no count above 255."""

    def __init__(self) -> None:
        self._counts = mmap(-1, _COUNTERS)

    def count(self, hashes: Iterable[int]) -> None:
        """Take in the hashes of a text."""
        counts = self._counts
        for at in hashes:
            if counts[at % _COUNTERS] < 255:
                counts[at % _COUNTERS] += 1

    def of(self, at: int) -> int:
        return self._counts[at % _COUNTERS]

    def ordered(self, hashes: Iterable[int]) -> list[int]:
        """Rarest first."""
        counts = self._counts
        return sorted(hashes, key=lambda at: (counts[at % _COUNTERS], at))


def _buckets(scratch: sqlite3.Connection) -> Iterator[list[str]]:
    """The names that share a hash, hash by hash, where they are several."""
    rows = scratch.execute("SELECT hash, name FROM bucket ORDER BY hash, name")
    for _, found in groupby(rows, key=lambda row: row[0]):
        names = [name for _, name in found]
        if len(names) > 1:
            yield names


class _Groups:
    """Sets of names that grow together; a set's root is its smallest name."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        parents = self.parents
        while (parent := parents.get(name, name)) != name:
            parents[name] = parents.get(parent, parent)
            name = parent
        return name

    def join(self, first: str, second: str) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self.parents.setdefault(low, low)
        self.parents[high] = low

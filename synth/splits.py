"""Who is drawn for train, validation and test: exact counts, stratified by gold label and slice, whole groups together.

Every row has a rank that comes from its text and the seed alone, so the draw is the same in any order of the rows, on
any machine. Groups are dealt out in the order of their ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from recipes.errors import SourceError
from recipes.rows import Split
from recipes.source import Source


@dataclass(frozen=True, slots=True)
class Group:
    """Near duplicates that must end on one side: its name, its stratum, how many rows."""

    name: str
    stratum: str
    size: int


Quotas = dict[str, dict[Split, int]]
"""stratum -> split -> rows that are still to be drawn."""
BETWEEN = "\x1f"
"""Stands between the parts of a stratum; cleaning leaves it in no value."""


def rank(seed: int, name: str) -> int:
    """Where a text stands in the draw: 63 bits of sha256."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1


def stratum_of(gold: str | None, slices: Mapping[str, str], source: Source) -> str:
    """Of which rows each split gets its share: those of one gold label and one value of the first slice column.

    Scores by slice need rows of every slice on the test side, and a student rows of every slice to learn from. Of
    several slice columns only the first counts: crossed with one another they would make strata of a row or two.
    """
    value = slices.get(source.slices[0]) if source.slices else None
    return (gold or "") if value is None else f"{gold or ''}{BETWEEN}{value}"


def wanted(source: Source, available: int, with_test: bool) -> dict[Split, int]:
    """Rows for each split out of one pool of `available`; where there are too few, test comes first.

    with_test: whether the test rows come out of this pool, not out of a test set of their own.
    """
    test = 0
    if with_test:
        test = int(available / 5 + 0.5) if source.test is None else min(source.test, available)
    both = available - test if source.train is None else min(source.train, available - test)
    validation = int(both * source.validation + 0.5)
    if both - validation < 1:
        raise SourceError(
            f"source: {available} usable rows leave none to train on ({test} for test, {validation} for validation)"
        )
    return {"test": test, "validation": validation, "train": both - validation}


def quotas(totals: dict[Split, int], sizes: dict[str, int]) -> Quotas:
    """Share out each split's rows over the strata in proportion to their `sizes`."""
    left = dict(sizes)
    shares: Quotas = {stratum: {} for stratum in sizes}
    for split, total in totals.items():
        for stratum, share in _share_out(total, left).items():
            shares[stratum][split] = share
            left[stratum] -= share
    return shares


def _share_out(total: int, sizes: dict[str, int]) -> dict[str, int]:
    """Shares of the strata: of the gold labels first, so that these are exact however many slices there are."""
    by_label: dict[str, dict[str, int]] = {}
    for name, size in sizes.items():
        by_label.setdefault(name.partition(BETWEEN)[0], {})[name] = size
    shares = apportion(total, {label: sum(strata.values()) for label, strata in by_label.items()})
    return {
        name: share
        for label, strata in by_label.items()
        for name, share in apportion(shares[label], strata, lambda name: rank(0, name)).items()
    }


def apportion(total: int, sizes: dict[str, int], tie: Callable[[str], str | int] = str) -> dict[str, int]:
    """Whole shares of `total` in proportion to `sizes` (largest remainder); no share is above its size.

    tie: which of equal remainders comes first. By name the same slices would come last under every label.
    """
    whole = sum(sizes.values())
    if not whole:
        return dict.fromkeys(sizes, 0)
    shares = {name: total * size // whole for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(total * sizes[name] % whole), tie(name)))
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


@dataclass
class Dealer:
    """Deals groups out to the splits. What cannot be filled in its own stratum is filled from any other at the end."""

    quotas: Quotas

    def deal(self, groups: Iterable[Group]) -> Iterator[tuple[str, Split]]:
        """Yield (group, split) for the groups that are drawn; a group that fits nowhere whole is not."""
        for group in groups:
            need = self.quotas[group.stratum]
            split = next((split for split, rows in need.items() if rows >= group.size), None)
            if split is not None:
                need[split] -= group.size
                yield group.name, split

    def deal_rest(self, groups: Iterable[Group], everything: bool) -> Iterator[tuple[str, Split]]:
        """The same for groups left over, whatever their stratum; `everything`: what fits nowhere is trained on."""
        splits: tuple[Split, ...] = ("test", "validation", "train")
        need = {split: sum(rows.get(split, 0) for rows in self.quotas.values()) for split in splits}
        if not any(need.values()):
            return
        for group in groups:
            split = next((split for split in splits if need[split] >= group.size), "train" if everything else None)
            if split is not None:
                need[split] -= group.size
                yield group.name, split

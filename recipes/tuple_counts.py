"""Tuples counted as arXiv 2412.18552 counts them: micro precision, recall and F1 over (text, term or category, polarity).

A tuple counts as often as it stands on its own side: a predicted one is right where the text's gold tuples have it at
all, a gold one is found where the text's predictions have it at all. A term that stands twice in a text with one
polarity is thus found twice by a single prediction, and a right prediction written twice is right twice. Where nothing
stands twice this is the usual 2 tp / (predicted + gold).

An invalid prediction (no tuple, a polarity that is none, a term that is not in the text) is no prediction: as
published it is left out of precision, which flatters who writes nonsense. `f1_strict` counts it as a wrong one.

What cannot be measured is None and never a number: precision where nothing was predicted, recall where nothing is gold,
F1 where there is neither (the published code says 1). Where there is one without the other, or no hit, F1 is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]
"""Term or category, and polarity."""


@dataclass(frozen=True, slots=True)
class TupleCounts:
    """Counts of one text, or their sum over many.

    right: predicted tuples that are gold; predicted: valid ones; found: gold tuples that were predicted; gold: all of
    them; invalid: what was predicted and is no tuple of this text.
    """

    right: int = 0
    predicted: int = 0
    found: int = 0
    gold: int = 0
    invalid: int = 0

    def __add__(self, other: TupleCounts) -> TupleCounts:
        return TupleCounts(
            self.right + other.right,
            self.predicted + other.predicted,
            self.found + other.found,
            self.gold + other.gold,
            self.invalid + other.invalid,
        )

    @property
    def precision(self) -> float | None:
        return _share(self.right, self.predicted)

    @property
    def recall(self) -> float | None:
        return _share(self.found, self.gold)

    @property
    def f1(self) -> float | None:
        return _f1(self.precision, self.recall)

    @property
    def f1_strict(self) -> float | None:
        """F1 with invalid predictions counted as wrong ones."""
        return _f1(_share(self.right, self.predicted + self.invalid), self.recall)

    @property
    def invalid_rate(self) -> float | None:
        """Share of all that was predicted."""
        return _share(self.invalid, self.predicted + self.invalid)


def count_tuples(gold: Collection[Pair], predicted: Collection[Pair], invalid: int = 0) -> TupleCounts:
    """Count one text. Terms are compared as they are written, case and all."""
    there, said = set(gold), set(predicted)
    return TupleCounts(
        right=sum(one in there for one in predicted),
        predicted=len(predicted),
        found=sum(one in said for one in gold),
        gold=len(gold),
        invalid=invalid,
    )


def sum_counts(counts: Iterable[TupleCounts]) -> TupleCounts:
    """All texts together: micro figures are those of the sum."""
    return sum(counts, TupleCounts())


def in_text(predicted: Sequence[Pair], text: str) -> tuple[tuple[Pair, ...], int]:
    """The predictions whose term stands in the text, and how many do not (task: atsa)."""
    kept = tuple(one for one in predicted if one[0] in text)
    return kept, len(predicted) - len(kept)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None and recall is None:
        return None
    first, second = precision or 0.0, recall or 0.0
    return 2 * first * second / (first + second) if first + second else 0.0

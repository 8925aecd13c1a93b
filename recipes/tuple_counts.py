"""Tuples counted as arXiv 2412.18552 counts them: micro F1 over (text, term or category, polarity).

A tuple counts as often as it stands on its own side: a predicted one is right where the text's gold tuples have it at
all, a gold one is found where the text's predictions have it at all. A right prediction that is written twice is thus
right twice, and a wrong one wrong twice; gold has each tuple once (aspects.tuples_of). Where nothing stands twice this
is the usual 2 tp / (predicted + gold).

An invalid prediction (no tuple, a polarity that is none, a term that is not in the text) is no prediction: as
published it is left out of precision. Both flatter who writes nonsense, or goes round in a circle. `f1_strict` is F1
with invalid predictions and repeats counted as wrong ones.

What cannot be measured is None and never a number: precision where nothing was predicted, recall where nothing is gold,
F1 where there is neither (the published code says 1). Where there is one without the other, or no hit, F1 is 0.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from recipes.aspects import TupleTask, one_line, read_tuples, tuples_of
from recipes.rows import Aspect

Pair = tuple[str, str]
"""Term or category, and polarity (or what else is said of it)."""


@dataclass(frozen=True, slots=True)
class TupleCounts:
    """Counts of one text, or their sum over many.

    right: predicted tuples that are gold; predicted: valid ones; found: gold tuples that were predicted; gold: all of
    them; invalid: what was predicted and is no tuple of this text; once: right ones, each of a text counted once.
    """

    right: int = 0
    predicted: int = 0
    found: int = 0
    gold: int = 0
    invalid: int = 0
    once: int = 0

    def __add__(self, other: TupleCounts) -> TupleCounts:
        return TupleCounts(
            self.right + other.right,
            self.predicted + other.predicted,
            self.found + other.found,
            self.gold + other.gold,
            self.invalid + other.invalid,
            self.once + other.once,
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
        """F1 with invalid predictions and repeats counted as wrong ones."""
        return _f1(_share(self.once, self.predicted + self.invalid), self.recall)

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
        once=len(there & said),
    )


def sum_counts(counts: Iterable[TupleCounts]) -> TupleCounts:
    """All texts together: micro figures are those of the sum."""
    return sum(counts, TupleCounts())


def gold_pairs(task: TupleTask, aspects: Sequence[Aspect]) -> tuple[Pair, ...]:
    """The gold tuples of a row, as predictions are compared with them."""
    return tuple(dict.fromkeys((plain(name), polarity) for name, polarity in tuples_of(task, aspects)))


def read_pairs(task: TupleTask, answer: str, text: str) -> tuple[tuple[Pair, ...], int]:
    """(the valid tuples of an answer to `text`, how many of its pieces are none).

    Of atsa a term must stand in the text, letter by letter.
    """
    found, invalid = read_tuples(task, answer)
    pairs = [(plain(name), polarity) for name, polarity in found]
    kept = tuple(one for one in pairs if task == "acsa" or one[0] in plain(text))
    return kept, invalid + len(pairs) - len(kept)


def plain(text: str) -> str:
    """`text` as it comes out of T5's tokenizer (NFKC, single spaces), so that a term is not lost for its ligature."""
    return one_line(unicodedata.normalize("NFKC", text))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None and recall is None:
        return None
    first, second = precision or 0.0, recall or 0.0
    return 2 * first * second / (first + second) if first + second else 0.0

"""Every two models on the rows both answered: the difference in accuracy, its interval, and McNemar's exact test.

Three families of tests are corrected apart, fixed before any row is scored: each student against the teacher, which is
the question a recipe asks; students against one another and the baselines; and pairs without a student, which are
looked at in passing and must not make the others harder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from eval.comparison import Family, Figure, Pair
from eval.intervals import bootstrap_mean, holm_within, mcnemar
from eval.metrics import Floats
from eval.power import detectable_share
from eval.scored import ScoredRows
from eval.scores import Compared, share_right
from recipes.schema import Evaluation

ORDER = {"student": 0, "teacher": 1, "baseline": 2}


def compare_pairs(models: Sequence[Compared], scored: ScoredRows, how: Evaluation) -> tuple[Pair, ...]:
    """All pairs that share a row with a gold label: students first, then teacher, then baselines."""
    ordered = sorted(models, key=lambda one: ORDER[one.main.role])
    found = [pair_of(first, second, scored, how) for first, second in combinations(ordered, 2)]
    return corrected([pair for pair in found if pair is not None], how)


def pair_of(first: Compared, second: Compared, scored: ScoredRows, how: Evaluation) -> Pair | None:
    """Two models on the rows that both answered, `first` a student where one is; the p-value is not corrected."""
    right, usable = zip(*(share_right([one.main], scored.gold) for one in (first, second)), strict=True)
    both = usable[0] & usable[1]
    if not both.any():
        return None
    test = mcnemar(right[0][both] == 1, right[1][both] == 1)
    return Pair(
        first=first.name,
        second=second.name,
        family=_family(first, second),
        rows=test.rows,
        difference=_difference(right[0][both] - right[1][both], how),
        only_first=test.only_first,
        only_second=test.only_second,
        p=test.p,
        p_holm=test.p,
        detectable=None,
        all_seeds=_over_seeds(first, second, scored, how),
    )


def _over_seeds(first: Compared, second: Compared, scored: ScoredRows, how: Evaluation) -> Figure | None:
    if len(first.sets) == len(second.sets) == 1:
        return None
    (right, usable), (other_right, other_usable) = (share_right(one.sets, scored.gold) for one in (first, second))
    both = usable & other_usable
    return _difference((right - other_right)[both], how) if both.any() else None


def _difference(by_row: Floats, how: Evaluation) -> Figure:
    interval = bootstrap_mean(by_row, how.confidence, how.resamples, how.seed)
    return Figure(value=float(np.mean(by_row)), low=interval.low, high=interval.high)


def _family(first: Compared, second: Compared) -> Family:
    """Of a pair in ORDER: a student, where there is one, comes first."""
    if first.main.role != "student":
        return "other"
    return "question" if second.main.role == "teacher" else "students"


def corrected(pairs: Sequence[Pair], how: Evaluation) -> tuple[Pair, ...]:
    """The pairs with what Holm's correction makes of their p-values, family by family."""
    held = holm_within([pair.family for pair in pairs], [pair.p for pair in pairs])
    return tuple(
        pair.model_copy(update={"p_holm": p, "detectable": _detectable(pair, size, how)})
        for pair, (p, size) in zip(pairs, held, strict=True)
    )


def _detectable(pair: Pair, family: int, how: Evaluation) -> float | None:
    return detectable_share(pair.rows, pair.only_first + pair.only_second, (1 - how.confidence) / family)

"""Seq2seq students in pairs on the same texts of one dataset: with and without distillation, with one another, and with
the baselines.

A paired bootstrap over texts: the same texts are drawn for both and for all seeds that both have. It says how far the
difference hangs on these texts; how far it hangs on the seed, the deviation between seeds says. Holm's correction is
over families that are fixed before any text is scored (`question`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from statistics import NormalDist

from eval.intervals import holm_within
from eval.power import POWER
from eval.tuple_comparison import TupleFamily, TuplePair
from eval.tuple_metrics import Difference, paired_difference
from eval.tuple_scores import Marked
from recipes.evaluation import Evaluation
from recipes.schema import Recipe
from recipes.seq2seq_student import T5Scratch

TESTED = ("f1", "accuracy", "rouge_l")
"""What models are tested in: the first of these that both have."""


@dataclass(frozen=True)
class Duel:
    """Two models on one set, and why they are compared."""

    first: Marked
    second: Marked
    family: TupleFamily


def compare_pairs(recipe: Recipe, models: Sequence[Marked]) -> tuple[tuple[TuplePair, ...], list[str]]:
    """Every duel, tested and corrected; and what could not be compared, in sentences."""
    how = recipe.evaluation
    found, apart = [], []
    for duel in duels(recipe, models):
        seeds = common_seeds(duel.first, duel.second)
        if not seeds:
            where = duel.first.scored.dataset
            apart.append(f"{duel.first.name} and {duel.second.name} have no seed in common: not compared on {where}.")
            continue
        measure = next((one for one in TESTED if duel.first.sheet(one) and duel.second.sheet(one)), None)
        difference = None if measure is None else _difference(duel, measure, seeds, how)
        if measure is not None and difference is not None:
            found.append((_pair(duel, measure, seeds, difference), difference.spread))
    pairs = _correct(found, how)
    return pairs, [*apart, *_too_few_draws(pairs, how)]


def duels(recipe: Recipe, models: Sequence[Marked]) -> Iterator[Duel]:
    """Who is compared with whom: only models of one set, and students only where they learnt as many of its rows."""
    for dataset in dict.fromkeys(one.scored.dataset for one in models):
        here = [one for one in models if one.scored.dataset == dataset]
        students = [one for one in here if one.role == "student"]
        for one, other in combinations(students, 2):
            if _learnt(recipe, one.name) == _learnt(recipe, other.name):
                helped, plain = sorted((one, other), key=lambda it: not is_distilled(recipe, it.name))
                apart = is_distilled(recipe, one.name) != is_distilled(recipe, other.name)
                paired = apart and _first_base(recipe, one.name) == _first_base(recipe, other.name)
                yield Duel(helped, plain, "distillation") if paired else Duel(one, other, "students")
        yield from (Duel(one, two, "baselines") for one in students for two in here if two.role == "baseline")


def is_distilled(recipe: Recipe, name: str) -> bool:
    """Whether a student that learns a dataset started from one that learnt a teacher's understanding."""
    base = recipe.base_student(name)
    while base is not None:
        if recipe.task == "understanding" and recipe.seq2seq(base).data is None:
            return recipe.seq2seq(name).data is not None
        base = recipe.base_student(base)
    return False


def question(pair: TuplePair) -> str:
    """Pairs of one question are corrected together: whether distillation helps is one, whatever the dataset; how
    students do beside one another, or beside the baselines, is one for each dataset and measure.
    """
    if pair.family == "distillation":
        return pair.family
    return f"{pair.family}, {pair.dataset}, {pair.measure}"


def common_seeds(first: Marked, second: Marked) -> tuple[int, ...]:
    """Seeds that both have, in the order of the first; a baseline, which has none, goes with all of them."""
    ours, theirs = ([seed for seed in one.seeds if seed is not None] for one in (first, second))
    return tuple(ours) if second.role == "baseline" else tuple(seed for seed in ours if seed in theirs)


def _learnt(recipe: Recipe, name: str) -> tuple[float, int | None]:
    student = recipe.seq2seq(name)
    return student.share, student.limit


def _first_base(recipe: Recipe, name: str) -> tuple[str, str | None, T5Scratch | None]:
    """What the chain of `name` began with: of another base, more than distillation would be compared."""
    other = recipe.base_student(name)
    if other is not None:
        return _first_base(recipe, other)
    student = recipe.seq2seq(name)
    return student.base, student.revision, student.scratch if student.base == "scratch" else None


def _difference(duel: Duel, measure: str, seeds: Sequence[int], how: Evaluation) -> Difference | None:
    ours, theirs = duel.first.sheet(measure), duel.second.sheet(measure)
    assert ours is not None and theirs is not None
    ours = ours.of_seeds([duel.first.seeds.index(seed) for seed in seeds])
    if duel.second.role != "baseline":
        theirs = theirs.of_seeds([duel.second.seeds.index(seed) for seed in seeds])
    return paired_difference(ours, theirs, measure, how)


def _pair(duel: Duel, measure: str, seeds: Sequence[int], difference: Difference) -> TuplePair:
    return TuplePair(
        dataset=duel.first.scored.dataset,
        measure=measure,
        first=duel.first.name,
        second=duel.second.name,
        family=duel.family,
        seeds=tuple(seeds),
        rows=len(duel.first.scored.ids),
        first_value=difference.first,
        second_value=difference.second,
        difference=difference.figure,
        p=difference.p,
        p_holm=difference.p,
        detectable=None,
    )


def _correct(found: Sequence[tuple[TuplePair, float]], how: Evaluation) -> tuple[TuplePair, ...]:
    held = holm_within([question(pair) for pair, _ in found], [pair.p for pair, _ in found])
    return tuple(
        pair.model_copy(update={"p_holm": p, "detectable": _detectable(spread, (1 - how.confidence) / size)})
        for (pair, spread), (p, size) in zip(found, held, strict=True)
    )


def _too_few_draws(pairs: Sequence[TuplePair], how: Evaluation) -> Iterator[str]:
    """Said where even a difference that every draw shows would not hold after the correction."""
    size = max(Counter(question(pair) for pair in pairs).values(), default=0)
    if 2 * size / (1 + how.resamples) >= 1 - how.confidence:
        wanted = 100 * ceil(4 * size / (1 - how.confidence) / 100)
        yield (
            f"{how.resamples:,} draws are too few for {size} comparisons: after Holm's correction no difference could "
            f"be told from chance. Set evaluation.resamples to {wanted:,} or more."
        )


def _detectable(spread: float, level: float) -> float | None:
    """The smallest true difference found with POWER, the draws' spread taken for that of a normal estimate."""
    least = spread * (NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(POWER))
    return least if 0 < least <= 1 else None

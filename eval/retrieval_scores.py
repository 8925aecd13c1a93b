"""Searches -> scores: of every way on every kind of question, in pairs, and of what is refused. Pure and seeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from eval.comparison import Figure
from eval.intervals import holm, wilson
from eval.ranking import ndcg, recall, reciprocal_rank
from eval.resampling import Tally, bootstrap_difference, bootstrap_ratio, mean_tally, permutation_test
from eval.retrieval_report import Abstention, KindScores, WayPair
from eval.searching import DEPTH, WAYS, Searched, Way
from recipes.evaluation import Evaluation

Measure = Callable[[Sequence[str], Mapping[str, float], int], float]


def measures(top_k: int) -> dict[str, tuple[Measure, int]]:
    """Name -> (formula, k)."""
    depths = sorted({1, min(top_k, DEPTH), DEPTH})
    found: dict[str, tuple[Measure, int]] = {f"recall@{k}": (recall, k) for k in depths}
    return found | {f"mrr@{DEPTH}": (reciprocal_rank, DEPTH), f"ndcg@{DEPTH}": (ndcg, DEPTH)}


def score_searches(searches: Sequence[Searched], top_k: int, how: Evaluation) -> tuple[KindScores, ...]:
    """Every way on all answerable questions, then kind by kind where there are several."""
    groups: dict[str, list[Searched]] = {"": [one for one in searches if one.useful]}
    kinds = list(dict.fromkeys(one.kind for one in searches))
    if len(kinds) > 1:
        groups |= {kind or "(no kind)": [one for one in searches if one.kind == kind] for kind in kinds}
    return tuple(one for kind, group in groups.items() if group for one in _of_kind(kind, group, top_k, how))


def _of_kind(kind: str, group: Sequence[Searched], top_k: int, how: Evaluation) -> list[KindScores]:
    """Every way on the answerable questions of a group, and what is refused of them; of a group that has none, what is
    refused of all.
    """
    useful = [one for one in group if one.useful]
    refused = {"refused": share([not one.answerable for one in useful or group], how)}
    if not useful:
        return [KindScores(way="hybrid", kind=kind, questions=len(group), figures=refused)]
    found = []
    for way in WAYS:
        figures = {name: ratio_figure(one, how) for name, one in tallies(useful, way, top_k).items()}
        figures |= refused if way == "hybrid" else {}
        found.append(KindScores(way=way, kind=kind, questions=len(useful), figures=figures))
    return found


def pair_ways(searches: Sequence[Searched], top_k: int, how: Evaluation) -> tuple[WayPair, ...]:
    """The search as the recipe has it less each other way, on the same answerable questions."""
    answerable = [one for one in searches if one.useful]
    if not answerable:
        return ()
    ours = tallies(answerable, "hybrid", top_k)
    theirs = {way: tallies(answerable, way, top_k) for way in WAYS[1:]}
    found = []
    for name, one in ours.items():
        raw = [permutation_test(one.parts - other[name].parts, how.seed) for other in theirs.values()]
        for way, p, corrected in zip(theirs, raw, holm(raw), strict=True):
            difference = difference_figure(one, theirs[way][name], how)
            found.append(WayPair(other=way, measure=name, difference=difference, p=p, p_holm=corrected))
    return tuple(found)


def score_abstention(searches: Sequence[Searched], how: Evaluation) -> Abstention:
    """What the threshold refuses."""
    withheld = [one.withheld for one in searches if one.withheld is not None]
    return Abstention(
        refused=share([not one.answerable for one in searches if one.useful], how),
        let_through=share([one.answerable for one in searches if not one.useful], how),
        withheld=share(withheld, how),
    )


def tallies(searches: Sequence[Searched], way: Way, top_k: int) -> dict[str, Tally]:
    """Measure -> its value for each question."""
    return {
        name: mean_tally(np.array([formula(one.ranked(way), one.relevant, k) for one in searches], dtype=np.float64))
        for name, (formula, k) in measures(top_k).items()
    }


def share(values: Sequence[bool], how: Evaluation) -> Figure:
    """A share of yes and no with Wilson's interval; nothing where there is no question."""
    if not values:
        return Figure()
    ends = wilson(sum(values), len(values), how.confidence)
    return Figure(value=sum(values) / len(values), low=ends.low, high=ends.high)


def ratio_figure(tally: Tally, how: Evaluation) -> Figure:
    """A ratio of sums with its bootstrap interval."""
    ends = bootstrap_ratio([tally], how.confidence, how.resamples, how.seed)
    if ends is None:
        return Figure()
    return Figure(value=tally.value(), low=ends.low, high=ends.high)


def difference_figure(first: Tally, second: Tally, how: Evaluation) -> Figure:
    """first less second, the same questions drawn for both."""
    ends = bootstrap_difference([first], [second], how.confidence, how.resamples, how.seed)
    return Figure(value=(first.value() or 0.0) - (second.value() or 0.0), low=ends.low, high=ends.high)

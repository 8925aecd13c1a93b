"""Recall, MRR and nDCG against sums made by hand, and against scikit-learn's; pairs and shares of searches."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from eval.ranking import ndcg, recall, reciprocal_rank
from eval.retrieval_scores import pair_ways, score_abstention, score_searches
from eval.searching import Searched
from recipes.schema import Evaluation

RANKED = ["a", "b", "c", "d"]
GRADES = {"b": 2.0, "d": 1.0, "x": 1.0, "c": 0.0}


def test_recall_is_the_share_of_the_useful_documents_that_were_found() -> None:
    assert [recall(RANKED, GRADES, k) for k in (1, 2, 4, 10)] == [
        0.0,
        pytest.approx(1 / 3),
        *[pytest.approx(2 / 3)] * 2,
    ]
    assert recall(["x"], {"x": 1.0}, 1) == 1.0


def test_the_reciprocal_rank_is_of_the_first_useful_document() -> None:
    assert reciprocal_rank(RANKED, GRADES, 10) == 0.5
    assert reciprocal_rank(RANKED, GRADES, 1) == 0.0
    assert reciprocal_rank(["c", "a"], GRADES, 10) == 0.0, "a document judged of no use is none"


def test_ndcg_by_hand() -> None:
    """3/log2(3) + 1/log2(5) over 3/log2(2) + 1/log2(3) + 1/log2(4)."""
    assert ndcg(RANKED, GRADES, 10) == pytest.approx((1.892789 + 0.430677) / (3 + 0.630930 + 0.5), abs=1e-6)
    assert ndcg(RANKED, GRADES, 2) == pytest.approx(1.892789 / (3 + 0.630930), abs=1e-6), "the ideal is cut too"
    assert ndcg(["b", "x", "d"], GRADES, 10) == 1.0
    assert ndcg([], GRADES, 10) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_ndcg_is_that_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]

    rng = random.Random(seed)
    names = [f"d{place}" for place in range(30)]
    grades = {name: float(rng.choice((0, 0, 0, 1, 2, 3))) for name in names}
    ranked = rng.sample(names, 30)
    gains = [[2 ** grades[name] - 1 for name in ranked]]
    for k in (1, 5, 10):
        assert ndcg(ranked, grades, k) == pytest.approx(ndcg_score(gains, [list(range(30, 0, -1))], k=k))


def searched(**changes: Any) -> Searched:
    found: dict[str, Any] = {
        "query": "q", "kind": "title", "relevant": {"a": 1.0}, "hybrid": ("a",), "dense": ("b", "a"), "bm25": (),
        "confidence": 0.9, "answerable": True, "withheld": None, "milliseconds": 2.0,
    }  # fmt: skip
    return Searched.model_validate(found | changes)


HOW = Evaluation(resamples=200)


def test_every_way_is_scored_on_the_questions_that_have_an_answer() -> None:
    searches = [*[searched()] * 3, searched(kind="need", hybrid=("b", "a")), searched(relevant={}, kind="off topic")]
    scores = {(one.way, one.kind): one for one in score_searches(searches, 4, HOW)}
    assert {kind for way, kind in scores if way == "dense"} == {"", "title", "need"}, "off topic has no ranking"
    assert scores["hybrid", "off topic"].figures.keys() == {"refused"}
    whole = scores["hybrid", ""]
    assert whole.questions == 4
    assert list(whole.figures) == ["recall@1", "recall@4", "recall@10", "mrr@10", "ndcg@10", "refused"]
    assert whole.figures["refused"].value == 0.0
    assert whole.figures["recall@1"].value == pytest.approx(0.75)
    assert whole.figures["mrr@10"].value == pytest.approx((3 + 0.5) / 4)
    assert whole.figures["recall@10"].value == whole.figures["recall@10"].low == 1.0
    assert scores["dense", "title"].figures["mrr@10"].value == 0.5
    assert scores["bm25", ""].figures["ndcg@10"].value == 0.0


def test_a_pair_is_the_difference_on_the_same_questions() -> None:
    pairs = {(one.other, one.measure): one for one in pair_ways([searched()] * 20, 4, HOW)}
    dense = pairs["dense", "mrr@10"]
    assert (dense.difference.value, dense.difference.low, dense.difference.high) == (0.5, 0.5, 0.5)
    assert dense.p < 0.001 < 1 == pairs["dense", "recall@10"].p
    assert dense.p_holm == pytest.approx(2 * dense.p), "two ways are compared"
    assert pairs["bm25", "recall@10"].difference.value == 1.0


def test_what_is_refused() -> None:
    mine = [searched(answerable=place > 0, withheld=place > 6) for place in range(10)]
    others = [searched(relevant={}, answerable=place < 1) for place in range(4)]
    found = score_abstention([*mine, *others], HOW)
    assert (found.refused.value, found.let_through.value, found.withheld.value) == (0.1, 0.25, pytest.approx(0.3))
    nothing = score_abstention(mine, HOW)
    assert nothing.let_through.value is None, "a figure of no question is none"
    assert np.isclose(found.refused.high or 0, 0.4042, atol=1e-3), "Wilson's interval of 1 in 10"

"""How good a ranking of documents is: recall, reciprocal rank and nDCG of one question. Pure.

A ranking holds ids of documents, best first, each once. relevant: id -> grade; a document with no grade, or 0, is of no
use. A question without a useful document has no such scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def recall(ranked: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Share of the useful documents that stand among the first k."""
    useful = {document for document, grade in relevant.items() if grade > 0}
    return len(useful & set(ranked[:k])) / len(useful)


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """1 / rank of the first useful document among the first k, 0 where there is none; its mean over questions is MRR@k
    (Voorhees, TREC-8, 1999).
    """
    ranks = (rank for rank, document in enumerate(ranked[:k], 1) if relevant.get(document, 0.0) > 0)
    return 1 / next(ranks, math.inf)


def ndcg(ranked: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Normalised discounted cumulative gain of the first k: the sum of (2^grade - 1) / log2(1 + rank), as a share of
    the most that a ranking of all graded documents could have.

    Discount: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002; gain: Burges et al., ICML 2005. Where all grades are 1 the
    gain is 1 and this is trec_eval's ndcg_cut.
    """
    found = _dcg([relevant.get(document, 0.0) for document in ranked[:k]])
    return found / _dcg(sorted(relevant.values(), reverse=True)[:k])


def _dcg(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(1 + rank) for rank, grade in enumerate(grades, 1))

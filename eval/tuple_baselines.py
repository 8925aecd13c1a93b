"""What a seq2seq student must beat to have been worth training, on the same train rows.

lexicon       atsa: the train rows' terms where they stand in the text, longest first, each with its most frequent
              polarity; but for words that are a term in less than half of the train texts that have them
one_vs_rest   acsa: TF-IDF of words and word pairs + one logistic regression, classes balanced, for each pair of
              category and polarity
majority      sentiment: the most frequent label of the train rows (of the test rows themselves where there are none)
vader         sentiment: the VADER lexicon
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from eval.baselines import vader_labels
from eval.tuple_rows import ScoredSet
from recipes.evaluation import TUPLE_BASELINES
from recipes.rows import AspectRow, LabelRow, read_rows
from recipes.schema import SENTIMENTS
from recipes.tuple_counts import Pair, gold_pairs, plain

OFTEN = 0.5
"""Share of the train texts with a word, from which on it is named as the term that it is in them."""
LIKELY = 0.5
"""Probability from which a pair is named; the likeliest one is named in any case: each text has a category."""

ABOUT = {
    "lexicon": "terms of the train rows with their most frequent polarity",
    "one_vs_rest": "TF-IDF + logistic regressions for pairs of category and polarity",
    "majority": "always the most frequent label",
    "vader": "VADER lexicon",
}
Tagger = Callable[[Sequence[str]], list[tuple[Pair, ...]]]
"""Texts -> the tuples of each."""


def baselines_of(scored: ScoredSet, wanted: Sequence[str] | None) -> list[str]:
    """The baselines of a set's task; wanted: evaluation.models."""
    known = TUPLE_BASELINES.get(scored.task, ())
    return [name for name in known if wanted is None or name in wanted]


def tagged(scored: ScoredSet, name: str) -> list[tuple[Pair, ...]]:
    """What a baseline says of each text of a set whose tuples are gold."""
    rows = list(read_rows(scored.folder.rows / "train.jsonl", AspectRow))
    return (lexicon(rows) if name == "lexicon" else one_vs_rest(rows))(scored.texts)


def labelled(scored: ScoredSet, name: str) -> list[str]:
    """What a baseline says of each text of a sentiment set."""
    if name == "vader":
        return vader_labels(scored.texts)
    path = scored.folder.rows / "train.jsonl"
    rows = read_rows(path, LabelRow) if path.exists() else ()
    counts = Counter(row.gold for row in rows if row.gold in SENTIMENTS) or Counter(scored.labels)
    return [max(SENTIMENTS, key=lambda label: counts[label])] * len(scored.texts)


def lexicon(rows: Sequence[AspectRow]) -> Tagger:
    """Terms as the train rows have them, case aside; a term is named as the text writes it."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for term, polarity in gold_pairs("atsa", row.aspects):
            seen[term.lower()][polarity] += 1
    if not seen:
        return lambda texts: [()] * len(texts)
    find = _finder(seen)
    there = Counter(term for row in rows for term in {found.lower() for found in find(row.text)})
    kept = {term: counts for term, counts in seen.items() if counts.total() >= OFTEN * there[term]}
    find = _finder(kept)

    def tag(text: str) -> tuple[Pair, ...]:
        known = [(term, kept[term.lower()]) for term in find(text) if term.lower() in kept]
        return tuple(dict.fromkeys((term, counts.most_common(1)[0][0]) for term, counts in known))

    return lambda texts: [tag(text) for text in texts]


def _finder(terms: Iterable[str]) -> Callable[[str], list[str]]:
    """text -> the terms that stand in it as whole words, in its own writing (plain, as gold is); where they overlap the
    longest.
    """
    longest = sorted(terms, key=lambda term: (-len(term), term))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    return lambda text: [match.group() for match in pattern.finditer(plain(text))]


def one_vs_rest(rows: Sequence[AspectRow]) -> Tagger:
    """A logistic regression for each pair that the train rows have."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

    gold = [set(gold_pairs("acsa", row.aspects)) for row in rows]
    pairs = sorted(set().union(*gold))
    if len(pairs) < 2 or not any(re.search(r"\w\w", row.text) for row in rows):
        return lambda texts: [tuple(pairs)] * len(texts)
    wanted = np.array([[pair in one for pair in pairs] for one in gold], dtype=np.int64)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        OneVsRestClassifier(LogisticRegression(C=10, class_weight="balanced", max_iter=1000)),
    )
    model.fit([row.text for row in rows], wanted)

    def tag(texts: Sequence[str]) -> list[tuple[Pair, ...]]:
        likely = model.predict_proba(texts)
        chosen = (likely >= LIKELY) | (likely == likely.max(axis=1, keepdims=True))
        return [tuple(pair for pair, named in zip(pairs, one, strict=True) if named) for one in chosen]

    return tag

"""What a student must beat to have been worth training.

majority     the label that the teacher gave most often in the train rows
vader        the VADER lexicon; compound score from 0.05 positive, to -0.05 negative (Hutto and Gilbert, ICWSM 2014)
tfidf        TF-IDF of words and word pairs + logistic regression on the teacher's train labels: a student's peer
tfidf_gold   the same on the human train labels
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eval.metrics import Codes, Floats
from eval.scored import to_codes
from recipes.console import say
from recipes.counts import counted
from recipes.errors import RunError
from recipes.rows import LabelRow, read_rows
from recipes.runs import RunFolder
from recipes.schema import BASELINES, Recipe

VADER_LABELS = ("negative", "neutral", "positive")
VADER_EDGE = 0.05
_WORD = re.compile(r"\w\w")
"""What scikit-learn's TF-IDF needs at least one of."""

ABOUT = {
    "majority": "always the teacher's most frequent label",
    "vader": "VADER lexicon",
    "tfidf": "TF-IDF + logistic regression on the teacher's labels",
    "tfidf_gold": "TF-IDF + logistic regression on gold labels",
}


@dataclass(frozen=True)
class Answers:
    """Answers to n texts: (n,) places in the recipe's labels, and (n, labels) probabilities where there are any.

    cut: texts that were longer than the model reads. precision: what a student computed in.
    """

    predicted: Codes
    probabilities: Floats | None = None
    cut: int = 0
    precision: str = ""


Answerer = Callable[[Sequence[str]], Answers]


def why_not(recipe: Recipe, run: RunFolder, name: str) -> str | None:
    """Why a baseline does not apply to this recipe's rows; None where it does."""
    if name == "vader":
        folded = sorted(label.casefold() for label in recipe.labels)
        return None if folded == list(VADER_LABELS) else "it knows the labels negative, neutral and positive only"
    rows = list(_train(run, gold=name == "tfidf_gold"))
    seen = {label for _, label in rows}
    if name == "majority":
        return None if seen else "no train row has a label by the teacher"
    if len(seen) < 2:
        whose = "human" if name == "tfidf_gold" else "teacher's"
        return f"it needs train rows of two labels, and they have {counted(len(seen), f'{whose} label')}"
    return None if any(_WORD.search(text) for text, _ in rows) else "no train row has a word of two letters"


def applicable(recipe: Recipe, run: RunFolder) -> list[str]:
    """The baselines that apply, in their fixed order; says why the others do not."""
    reasons = {name: why_not(recipe, run, name) for name in BASELINES}
    for name, reason in reasons.items():
        if reason is not None:
            say(f"report: without the baseline {name}: {reason}")
    return [name for name, reason in reasons.items() if reason is None]


def open_baseline(recipe: Recipe, run: RunFolder, name: str) -> Answerer:
    """Fit a baseline on the train rows."""
    if name == "majority":
        return _majority(recipe, run)
    if name == "vader":
        return _vader(recipe)
    return _tfidf(recipe, run, gold=name == "tfidf_gold")


def _train(run: RunFolder, gold: bool) -> Iterator[tuple[str, str]]:
    for row in read_rows(run.rows / "train.jsonl", LabelRow):
        label = row.gold if gold else row.label
        if label is not None:
            yield row.text, label


def _majority(recipe: Recipe, run: RunFolder) -> Answerer:
    counts = Counter(label for _, label in _train(run, gold=False))
    most = max(range(len(recipe.labels)), key=lambda place: counts[recipe.labels[place]])
    return lambda texts: Answers(np.full(len(texts), most, dtype=np.int64))


def vader_labels(texts: Sequence[str]) -> list[str]:
    """negative, neutral or positive for each text."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

    analyzer = SentimentIntensityAnalyzer()

    def label_of(text: str) -> str:
        compound = analyzer.polarity_scores(text)["compound"]
        if abs(compound) < VADER_EDGE:
            return "neutral"
        return "positive" if compound > 0 else "negative"

    return [label_of(text) for text in texts]


def _vader(recipe: Recipe) -> Answerer:
    places = {label.casefold(): place for place, label in enumerate(recipe.labels)}
    return lambda texts: Answers(np.array([places[label] for label in vader_labels(texts)], dtype=np.int64))


def _tfidf(recipe: Recipe, run: RunFolder, gold: bool) -> Answerer:
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

    texts, labels = zip(*_train(run, gold), strict=True)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000))
    try:
        model.fit(texts, to_codes(labels, recipe.labels))
    except ValueError as error:  # "empty vocabulary": texts of single characters or of punctuation alone
        raise RunError(
            f"the tfidf baseline cannot learn from {run.rows}: {error}; name others in evaluation.models"
        ) from None

    def answer(texts: Sequence[str]) -> Answers:
        probabilities = np.zeros((len(texts), len(recipe.labels)))
        probabilities[:, model.classes_] = model.predict_proba(texts)
        return Answers(probabilities.argmax(axis=1), probabilities)

    return answer

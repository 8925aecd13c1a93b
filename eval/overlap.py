"""How close answers are to reference answers: ROUGE-L and chrF, 0 to 1, an array with one figure per row.

ROUGE-L   F1 of the longest common subsequence of words (Lin, 2004), by the package rouge-score. Its own tokenizer drops
          every letter but a to z; ours keeps all scripts and gives the same words for plain English.
chrF      F2 of character 1- to 6-grams (Popović, 2015), by the package sacrebleu (chrF2, nc:6, nw:0, space:no).

Closeness to a teacher is not quality: another good answer in other words scores low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.metrics import Floats
from eval.words import words


class _Words:
    """What rouge-score wants for a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """ROUGE-L F1 of each answer, (n,); 0 where an answer or its reference has no word."""
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    pairs = zip(answers, references, strict=True)
    return np.array([scorer.score(reference, answer)["rougeL"].fmeasure for answer, reference in pairs], np.float64)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """chrF of each answer, (n,): what the paired tests are made on."""
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    pairs = zip(answers, references, strict=True)
    return np.array([scorer.sentence_score(answer, [reference]).score / 100 for answer, reference in pairs], np.float64)


def corpus_chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """chrF of all answers together, n-grams counted over the whole: the figure that papers report. Not empty."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().corpus_score(list(answers), [list(references)]).score / 100)

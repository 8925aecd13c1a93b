"""A text as words, in any script, and how much it repeats itself."""

from __future__ import annotations

import re

_SYLLABIC = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kana and Han, written without spaces: each character counts as a word."""
_WORD = re.compile(rf"[{_SYLLABIC}]|[^\W_{_SYLLABIC}]+")
GRAM = 4


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded."""
    return _WORD.findall(text.casefold())


def repeated_share(text: str, size: int = GRAM) -> float:
    """Share of the word n-grams that stood in the text before (seq-rep-n of Welleck et al., arXiv 1908.04319).

    0 for a text too short to have any. A model that goes round in circles comes near 1.
    """
    said = words(text)
    grams = [tuple(said[at : at + size]) for at in range(len(said) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0

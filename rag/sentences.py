"""A text -> its sentences, and its words that tell something."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.stop_words import STOP_WORDS

_END = re.compile(
    r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?:\s?\[\d{1,4}\])*(?=\s|\Z)|[。！？]+[」』”]*(?:\[\d{1,4}\])*|\n+|\Z"
)
"""The look behind it: a run of dots is tried once, from its first."""
_GOES_ON = re.compile(r"\s+[a-zß-öø-ÿ]")
_SHORTENED = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|e\.g|i\.e|etc|vs|approx|ca|max|min|incl|excl|no|nos|vol|art|fig|pp?|dr|mrs?|ms|st|inc|ltd|"
    r"co|corp|oz|lbs?|in|ft|cm|mm|u\.s|u\.k|z\.b|bzw)\.$",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")


def sentences(text: str) -> list[str]:
    """The sentences of a text, without white space around them. A citation stays with the sentence before it."""
    return [found for found in _pieces(text) if found]


def _pieces(text: str) -> Iterator[str]:
    begin = 0
    for end in _END.finditer(text):
        shortened = _SHORTENED.search(text[max(begin, end.end() - 12) : end.end()])
        if end[0][:1] == "." and (shortened or _GOES_ON.match(text, end.end())):
            continue
        yield text[begin : end.end()].strip()
        begin = end.end()


def telling_words(text: str) -> list[str]:
    """The words of a text in their order, as `stem`, stop words left out, each once."""
    found = (word.casefold().replace("’", "'") for word in WORD.findall(text))
    return list(dict.fromkeys(stem(word) for word in found if word not in STOP_WORDS))


def stem(word: str) -> str:
    """A folded word without its plural or possessive ending, so that `kettles` is `kettle`."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word

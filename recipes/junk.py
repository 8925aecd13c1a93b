"""What a reading of a review may not be, though its form is good: a reason and a sentence, which the teacher is shown.

Each check is of a kind of junk that teachers write, and must not be met by an honest reading. Words are looked at in
English reviews only; a target that the review does not name is no junk: it may be implied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from recipes.rows import Opinion

Junk = tuple[str, str]

_PLACEHOLDERS = {
    "", "n/a", "na", "none", "null", "nil", "unknown", "unspecified", "not specified", "not applicable",
    "not mentioned", "-", "...", "…", "target", "opinion target", "aspect", "sentiment", "reasoning",
    "your reasoning",
}  # fmt: skip
_FEELING = re.compile(
    r"\b(?:love[sd]?|loving|hate[sd]?|great|excellent|terrible|awful|horrible|amazing|delicious|disgusting|fantastic|"
    r"wonderful|worst|best|perfect|disappoint(?:ed|ing|ment)|useless|rude|superb|outstanding|tasteless|inedible)\b",
    re.IGNORECASE,
)
"""Words that hardly stand in a review without an opinion."""
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our|ours)\b", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:the|and|was|were|is|are|it|of|to)\b", re.IGNORECASE)
_OF_THE_WRITER = re.compile(
    r"\bthe (?:reviewer|review(?:'s)? author|author of the review|customer says|user (?:says|feels|expresses|mentions)|"
    r"writer of)\b|\bthis reviewer\b",
    re.IGNORECASE,
)
_TO_THE_ASKER = re.compile(
    r"(?:sure|certainly|of course|here(?:'s| is| are)\b.{0,40}\b(?:rewrit|version|review)|rewritten review\b|"
    r"as an ai\b)",
    re.IGNORECASE,
)
_QUOTABLE = 6
"""Words of an example's sentence that nobody writes twice by chance."""
_OPINIONS, _WORDS = 3, 6
"""So many opinions, and not one word of a review that has so many: it is another review. Of fewer an honest reading may
name none: "In the garden I see my own face" is about a screen."""
_SHORTEST, _LONGEST, _LONGER = 0.5, 4.0, 200
"""A rewrite has from half of the review's characters up to four times them and 200 more. Half: it has left opinions
out; the published ones are longer than their reviews, by up to about three times for a line of text."""


def quotable(texts: Sequence[str]) -> frozenset[str]:
    """Texts of a prompt's examples, folded, to be known again; short ones ("Said outright.") come up by themselves."""
    return frozenset(" ".join(text.split()).casefold() for text in texts if len(text.split()) >= _QUOTABLE)


def analysis_junk(opinions: Sequence[Opinion], review: str, shown: frozenset[str]) -> Junk | None:
    """Why these are not the opinions of `review`. shown: what the prompt's examples say, folded by `quotable`."""
    if not opinions:
        feeling = _FEELING.search(review)
        return feeling and ("no_opinions", f"the list is empty, but the review says {feeling[0]!r}")
    for place, told in enumerate(opinions, 1):
        for key, text in (("target", told.target), ("aspect", told.aspect), ("reasoning", told.reasoning)):
            if _bare(text) in _PLACEHOLDERS and not (key == "reasoning" and not text):
                return "placeholder", f'"{key}" of opinion {place} says nothing: {text!r}'
        if told.reasoning.casefold() in shown:
            return "copied_prompt", f"the reasoning of opinion {place} is that of an example"
    words = _words(review)
    said = _words(" ".join(f"{told.target} {told.reasoning}" for told in opinions))
    if len(opinions) >= _OPINIONS and len(words) >= _WORDS and said.isdisjoint(words):
        return "unrelated", "no word of the review stands in it"
    return None


def rewrite_junk(text: str, review: str, shown: frozenset[str]) -> Junk | None:
    """Why this is no rewrite of `review`, likewise."""
    if _bare(text) in _PLACEHOLDERS:
        return "placeholder", f"the rewrite says nothing: {text!r}"
    if text.casefold() in shown:
        return "copied_prompt", "the rewrite is that of an example"
    if _run(text) == _run(review):
        return "copied_review", "the rewrite is the review itself: make its feelings and aspects explicit"
    if talk := _TO_THE_ASKER.match(text):
        return "meta_talk", f"the rewrite says {talk[0]!r}: write the review itself, nothing about it"
    if about := _OF_THE_WRITER.search(text):
        return "third_person", f"the rewrite says {about[0]!r}: write in the first person, as the reviewer"
    size, whole = len(text), len(review)
    if size < _SHORTEST * whole:
        return "short_rewrite", f"the rewrite has {size} characters, the review {whole}: leave nothing out"
    if size > _LONGEST * whole + _LONGER:
        return (
            "long_rewrite",
            f"the rewrite has {size} characters, the review {whole}: add nothing that it does not say",
        )
    return None


def impersonal(text: str) -> Junk | None:
    """Why a rewrite that was asked for in the first person is not in it. Published ones often name nobody, and stay."""
    if not _ENGLISH.search(text) or _FIRST_PERSON.search(text):
        return None
    return "third_person", "no I, my or we stands in the rewrite: write in the first person, as the reviewer"


def _bare(text: str) -> str:
    return text.strip().strip("<>[]{}().\"'*").strip().lower()


def _words(text: str) -> set[str]:
    """Words of four letters and more."""
    return set(re.findall(r"[^\W\d_]{4,}", text.casefold()))


def _run(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().casefold()

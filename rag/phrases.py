"""Sentences that need no passages: an answer to a greeting, and how a model says that it found nothing. English."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.sentences import sentences

_MOST_REFUSAL = 400
_MOST_TITLE = 60
"""Characters of a title that is proposed."""
_COURTESIES = [
    (
        re.compile(r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day))(?: there| again| everyone)?"),
        "Hello. What would you like to know about the catalogue?",
    ),
    (
        re.compile(
            r"(?:(?:ok(?:ay)?|great|perfect|cool|nice|super|good|yes|no|alright)[ ,]+)?"
            r"(?:thanks|thank you|thx|cheers)"
            r"(?: (?:very|so) much| a lot| again|,? that(?:'s| is) (?:all|great|helpful))?"
        ),
        "You are welcome.",
    ),
    (re.compile(r"(?:good ?)?bye(?: bye)?|see you(?: later)?|have a (?:nice|good) (?:day|evening)"), "Goodbye."),
]
_CATALOGUE = r"(?:catalog(?:ue)?|passages?|sources?|documents?|information|context|descriptions?|results?)"
_NOT = r"(?:(?:do|does|did|is|are|was|were|has|have|could|can)(?: ?not|n?['’]t))"
_SAYS = r"say|mention|list|specif|state|indicate|tell|describe|answer|information|details?\b"
_SILENT = re.compile(
    rf"\b{_CATALOGUE}\b[^.!?]{{0,60}}\b{_NOT}\b[^.!?]{{0,40}}\b(?:{_SAYS})|\bnot enough information\b|"
    r"\b(?:I|we) (?:could|can)(?: ?not|n?['’]t) (?:answer|say|tell)",
    re.IGNORECASE,
)
"""Of one that cites: that its source says nothing is a refusal; that a product has not what was asked for is none."""
_NOTHING = re.compile(
    rf"\b{_CATALOGUE}\b[^.!?]{{0,60}}\b{_NOT}\b[^.!?]{{0,40}}\b(?:{_SAYS}|contain|include|cover|provide|give|have|know|"
    r"hold|available|there)|"
    r"\b(?:could|can)(?: ?not|n?['’]t) (?:be found|find|answer|say|tell)|\b(?:am|was|were) (?:unable|not able) to "
    r"(?:find|answer|say|tell)|"
    rf"\b(?:no [a-z]|not\b|nothing\b|none\b)[^.!?]{{0,30}}\bin (?:the|our|this|these) "
    rf"(?:given |provided |supplied )?{_CATALOGUE}|"
    rf"\bno (?:such )?(?:{_CATALOGUE}|mention)\b|\bno such (?:product|item|thing)|\bnot enough information\b|"
    r"\b(?:do not|don['’]t) (?:know\b|have (?:any |that |enough |this )?(?:information|product))",
    re.IGNORECASE,
)


def courtesy(question: str) -> str | None:
    """What to say to a greeting, to thanks or to a goodbye; None to what is a question."""
    said = " ".join(re.sub(r"[.!?…\s]+", " ", question.casefold().replace("’", "'")).split()).strip(" ,")
    return next((reply for pattern, reply in _COURTESIES if pattern.fullmatch(said)), None)


def finds_nothing(response: str, cited: bool) -> bool:
    """Whether a model's response says that the catalogue has no answer. One that goes on to cite something has
    answered.
    """
    if len(response) > _MOST_REFUSAL:
        return False
    said = sentences(response)
    if not said or (cited and len(said) > 1):
        return False
    return (_SILENT if cited else _NOTHING).search(said[0]) is not None


def proposed(titles: Iterable[str]) -> tuple[str, ...]:
    """Questions about documents, each of a length that is read at a glance."""
    return tuple(f"Tell me about {_cut(' '.join(title.split()))}" for title in titles)


def _cut(title: str) -> str:
    if len(title) <= _MOST_TITLE:
        return title
    cut = title[:_MOST_TITLE]
    return cut.rsplit(" ", 1)[0].rstrip(" ,;:-(") or cut

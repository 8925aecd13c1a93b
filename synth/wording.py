"""Words of an answer that speak of what nobody showed the reader: the context, the description, the model itself.

A student that learns them quotes "the context" to people who gave none. English only. What is said of a product that
is a text itself ("the text explains", "in the context of", "the title story") is no such talk.
"""

from __future__ import annotations

import re

_GIVEN = r"(?:provided|given|supplied|above|available|aforementioned|following|input|source)"
_SOURCE = r"(?:context|(?:product(?:['’]s)?\s)?(?:description|listing)|product\s(?:title|information|details|data))"
_ANY = rf"(?:{_SOURCE}|information|text|passage|title|details|content|data|document|snippet|excerpt|facts)"
_SAYS = (
    r"(?:(?:also|only|clearly|explicitly|specifically|further|just|simply|even|never)\s){0,2}"
    r"(?:(?:does|do|did)(?:\snot|n['’]t)\s(?:actually\s|explicitly\s|specifically\s)?)?"
    r"(?:mention|state|say|indicate|describe|note|highlight|suggest|specif|tell|emphasi[sz]e|confirm|reveal|impl|list|"
    r"show|explain|claim|point|provide|give|include|contain|refer|boast|speak|read|match|make|promise|focus|cover)"
    r"(?:s|es|ies|y|ed|ied|ing)?\b"
)
_TRADE = (
    r"(?!\s(?:\w+\s)?(?:engineer|researcher|developer|scientist|expert|student|specialist|consultant|company|startup))"
)
_ITSELF = [
    rf"\bas\san?\s(?:(?:AI|artificial\sintelligence){_TRADE}|(?:large\s)?language\smodel|LLM|virtual\sassistant)\b",
    rf"\bI(?:\sam|['’]m)\s(?:just\s|only\s)?an?\s(?:AI{_TRADE}|(?:large\s)?language\smodel|LLM)\b",
    r"\bmy\s(?:training\sdata|knowledge\scut-?off|system\sprompt)\b",
    r"\bI\s(?:do\snot|don['’]t|cannot|can['’]t)\s(?:have\saccess\sto|browse|access)\s"
    r"(?:the\sinternet|real-?time|external|current|live|any)",
]
"""A model of itself. An `AI engineer` may well say I."""
_TALK = re.compile(
    "|".join(
        [
            # the provided context; the information given; the product description
            rf"\b(?:the|this|that|your|any)\s(?:\w+\s)?{_GIVEN}\s{_ANY}\b",
            rf"\b(?:the|this)\s{_ANY}\s(?:(?:that\s)?(?:is|was|were|are|has\sbeen|i\swas)\s)?"
            r"(?:provided|given|supplied|above|shared)\b(?!\s(?:by|in|for|with)\b)",
            r"\bthe\sproduct(?:['’]s)?\s(?:description|listing|title)\b",
            # the context mentions; nothing in the description says
            rf"\b(?:the|this|its|your)\s{_SOURCE}\s{_SAYS}",
            # according to the description; as stated in the title; not mentioned in the text
            rf"\b(?:according\sto|based\s(?:solely\s|only\s|purely\s)?(?:on|upon)|judging\s(?:by|from)|as\sper|per|"
            rf"given|inferred\sfrom)\s(?:the|this)\s{_SOURCE}\b(?!\sof\b|\sin\swhich\b)",
            r"\b(?:from|in|by)\sthe\s(?:product\s(?:information|details)|(?:product\s)?description)\b(?!\sof\b)",
            r"\bthe\s(?:title|name)\sand\s(?:the\s)?description\b",
            r"\bbased\s(?:solely\s|only\s|purely\s)?(?:on|upon)\s(?:the|this)\s(?:information|text|title|details|data)\b",
            rf"\b(?:mentioned|stated|described|noted|indicated|specified|listed|outlined|given|provided|said|found)\s"
            rf"(?:in|by|within)\sthe\s(?:{_GIVEN}\s)?(?:{_SOURCE}|title|text|passage|information|details)\b(?!\sof\b)",
            *_ITSELF,
            r"\bmy\sinstructions\b|\bComplex[_ ]CoT\b|\bthe\s(?:JSON\s(?:object|format)|system\sprompt|few-shot)\b",
        ]
    ),
    re.IGNORECASE,
)
_OF_ITSELF = re.compile("|".join(_ITSELF), re.IGNORECASE)
_THINGS = ("context", "description", "information", "text", "passage", "title", "document", "data", "listing")


def meta_talk(text: str, shown: str = "") -> str | None:
    """The first such words in `text`, or None. shown: what the reader sees, which may itself bring the context."""
    shown = shown.casefold()
    for found in _TALK.finditer(" ".join(text.split())):
        if not _is_shown(found[0], shown):
            return found[0]
    return None


def self_talk(text: str) -> str | None:
    """The first words of `text` in which a model speaks of itself, or None: all that is meta-talk in a chat."""
    found = _OF_ITSELF.search(" ".join(text.split()))
    return found[0] if found is not None else None


def _is_shown(found: str, shown: str) -> bool:
    """Whether the reader sees the thing that is spoken of: `the context` after a question that has one."""
    if not shown or _OF_ITSELF.search(found):
        return False
    return any(thing in found.casefold() and thing in shown for thing in _THINGS)

"""What shoppers ask of a product in many words: its price, weight, colour and the like. English.

A quality is told by how a question asks for it, by what a field that holds it is called, and by how a sentence says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rag.lexical import tokens
from rag.limits import LIMIT


class Quality(NamedTuple):
    """asked: in a question. names: words of a field's name, as the search by words knows them. said: in a sentence."""

    asked: re.Pattern[str]
    names: frozenset[str]
    said: re.Pattern[str]


_AMOUNT = r"\d[\d.,]*[\s-]?"
_LENGTH = rf"{_AMOUNT}(?:cm|mm|m|km|met(?:er|re)s?|in|inch(?:es)?|ft|feet|foot|[\"″])(?!\w)|\d\s?[x×]\s?\d"
_LASTING = r"(?:warranty|guarantee|battery|life|shipping|delivery)"
_OTHER = r"(?:delivery|shipping|postage|discount|deposit|returns?|returning|sending|weight(?= of\b|\W*$))"
"""What costs something, or has an amount, beside the product."""
_NO_PRICE = rf"(?! (?:(?:of|for) )?(?:the |a |an |your )?(?:\w+ )?{_OTHER}\b)"
_EXTRA = r"(?<!delivery )(?<!shipping )(?<!postage )(?<!return )(?<!extra )(?<!additional )"
_LOAD = r"(?:hold|support|carry|bear|take)"
_WEIGHT = rf"{_AMOUNT}(?:kg|g|mg|kilos?|kilograms?|grams?|lbs?|pounds?|oz|ounces?)(?!\w)"
_SIZED = "size dimension dimensions measurements"


def _quality(asked: str, names: str, said: str) -> Quality:
    return Quality(
        re.compile(rf"\b(?:{asked})\b", re.IGNORECASE), frozenset(tokens(names)), re.compile(said, re.IGNORECASE)
    )


QUALITIES = (
    _quality(
        rf"how much (?:is|are|was|were|for|money){_NO_PRICE}|{_EXTRA}(?:costs?|prices?){_NO_PRICE}|costing|priced|"
        rf"pricey|expensive|cheap(?:er|est)?|pay for|{LIMIT}",
        "price cost msrp rrp", rf"[$€£]\s?\d|{_AMOUNT}(?:[$€£]|eur|usd|gbp|euros?|dollars?|pounds?)(?!\w)|\bprices?\b",
    ),
    _quality(
        r"brands?|manufacturers?|who (?:makes|made|produces|produced|manufactures|builds)|made by|"
        r"which (?:company|firm)",
        "brand manufacturer maker producer vendor", r"\b(?:brand|manufactured|made) by\b|\bbrand\b",
    ),
    _quality(r"authors?|who wrote|written by", "author authors writer", r"\bwritten by\b|\bauthor\b"),
    _quality(
        r"weigh|weighs|(?<!max )(?<!maximum )(?<!user )(?<!rider )(?<!body )(?<!much )"
        rf"weight(?! (?:capacity|limit|rating|range)|.{{0,20}} {_LOAD}\b)|heavy(?![ -]duty)|heavier|lightweight|"
        "how light", "weight mass", rf"{_WEIGHT}|\bweigh",
    ),
    _quality(
        rf"weight (?:capacity|limit|rating)|(?:max|maximum|user|rider) (?:weight|load)|"
        rf"(?:weight|much) .{{0,20}} {_LOAD}",
        "load payload", rf"\b(?:carr|support|hold|bear|load|up to|max).{{0,30}}{_WEIGHT}",
    ),
    _quality(rf"how long (?:is|are)(?! .{{0,30}}{_LASTING})|length", f"length {_SIZED}", rf"{_LENGTH}|\blong\b"),
    _quality(r"how wide|width", f"width {_SIZED}", rf"{_LENGTH}|\bwide\b"),
    _quality(r"how (?:tall|high)|height", f"height {_SIZED}", rf"{_LENGTH}|\b(?:tall|high)\b"),
    _quality(r"how (?:deep|thick)|depth|thickness", f"depth thickness {_SIZED}", rf"{_LENGTH}|\b(?:deep|thick)\b"),
    _quality(
        r"how (?:big|large|small)|sizes?|dimensions?|measurements|diameter",
        f"{_SIZED} length width height depth diameter", _LENGTH,
    ),
    _quality(
        r"capacity|volume|how (?:much|many) .{0,40}(?:hold|holds|fit|fits|carry|store)|"
        r"how many (?:lit(?:er|re)s|cups|gallons)",
        "capacity volume", rf"{_AMOUNT}(?:l|ml|cl|lit(?:er|re)s?|gallons?|gal|cups?|gb|tb|mah)(?!\w)|\bholds?\b",
    ),
    _quality(
        r"colou?rs?|coloured|colored", "color colour colors colours shade",
        r"\bcolou?rs?\b|\b(?:black|white|red|green|blue|yellow|orange|purple|pink|brown|gr[ae]y|silver|gold|beige)\b",
    ),
    _quality(
        r"material|fabric|(?:made|built) (?:of|from|out of)", "material materials fabric composition",
        r"\bmade (?:of|from)\b|\bmaterials?\b",
    ),
    _quality(r"in stock|available(?! in\b)|availability", "stock availability available", r"\b(?:in stock|available)"),
    _quality(r"warranty|guarantees?|guaranteed", "warranty guarantee", r"\b(?:warranty|guarantee)"),
    _quality(
        r"ip (?:rating|code|class)|(?:waterproof|water resistance) rating", "ip ingress", r"\bIP[X\d]\d",
    ),
    _quality(
        r"(?<!ip )(?<!ip\d\d )(?<!ipx\d )(?<!energy )(?<!efficiency )(?<!power )(?<!resistance )(?<!waterproof )"
        r"(?<!weight )rating|how many stars|how good",
        "rating ratings stars", r"\b(?:rated|stars?)\b",
    ),
)  # fmt: skip


_SENT = re.compile(
    r"\b(?:how much|what) (?:does|do|would|will) (?:the )?(?:\w+ )?(?:delivery|shipping|postage|returning|sending)\b"
    r".{0,60}?\bcosts?\b", re.IGNORECASE,
)  # fmt: skip
"""What it costs to send, whatever is sent."""
_MEANT = "model product type item category name title"
_ORDINARY = frozenset(tokens(_MEANT))
"""What shoppers call a product itself."""
_ASKED_FOR = re.compile(
    rf"\bwhat(?:['’]s| is| are) (?:the |its |their )?({_MEANT.replace(' ', '|')})(?= of\b|\W*$)", re.IGNORECASE
)


def asked_qualities(question: str) -> list[Quality]:
    """The qualities that a question asks for."""
    said = _SENT.sub("", question)
    return [one for one in QUALITIES if one.asked.search(said)]


def asked_names(question: str, asked: Sequence[Quality], names: Iterable[str]) -> list[str]:
    """Which fields, by their names, hold what a question asks for, or are called in it."""
    words = set(tokens(question))
    plain = words - ordinary(question)
    wanted = frozenset[str]().union(*(one.names for one in asked))
    found = []
    for name in names:
        own = set(tokens(name.replace("_", " ")))
        if own and (own & wanted or own <= (words if len(own) > 1 else plain)):
            found.append(name)
    return found


def ordinary(question: str) -> set[str]:
    """Words of a question that call no field: a `model` that is meant for the product, a `weight` that it carries."""
    asked_for = {word for found in _ASKED_FOR.finditer(question) for word in tokens(found[1])}
    asked = asked_qualities(question)
    others = [one for one in QUALITIES if one not in asked]
    passed = (word for word in question.split() for one in others if one.asked.search(word))
    return set(_ORDINARY - asked_for) | {name for word in passed for name in tokens(word)}

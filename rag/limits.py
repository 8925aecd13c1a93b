"""A limit of price that a question sets in words, such as `kettles under 30 euros` -> a filter. English.

It is read only where it can mean nothing else: one limit with a currency, one column of prices, and a question for
products rather than about one, whose own price would else be filtered away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rag.lexical import tokens
from rag.sentences import telling_words

_OPERATORS = {
    "no more than": "$lte", "not more than": "$lte", "at most": "$lte", "up to": "$lte", "at least": "$gte",
    "less than": "$lt", "cheaper than": "$lt", "under": "$lt", "below": "$lt", "more than": "$gt", "over": "$gt",
    "above": "$gt",
}  # fmt: skip
_CURRENCIES = {
    "$": "usd", "dollar": "usd", "usd": "usd", "€": "eur", "euro": "eur", "eur": "eur", "£": "gbp", "gbp": "gbp",
}  # fmt: skip
_NAMED = r"(?:euros?|eur|dollars?|usd|gbp)"
LIMIT = (
    rf"(?:{'|'.join(_OPERATORS)})\s+"
    rf"(?:[$€£]\s?\d[\d.,]*|\d[\d.,]*\s?{_NAMED}(?!\w)|\d[\d.,]*(?=\s?[$€£]))"
)
"""No pounds: a weight has them, too."""
_LIMIT = re.compile(rf"\b{LIMIT}\s?[$€£]?", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|no|nor|never|nothing|none|without|cannot|dont|cant|wont)\b|n['’]t\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,2})?")
_ELSE = re.compile(
    r"\b(?:deliver\w*|shipping|postage|orders?|basket|discounts?|vouchers?|coupons?|returns?|refunds?|off|sav(?:e|ings?)|"
    r"warranty|guarantee|insur\w+|deposit|per|spend\w*|spent|paid|bought|charged)\b|/",
    re.IGNORECASE,
)
"""What else has a price."""
_WHATEVER = frozenset(telling_words("costs costing price priced product item article gift present"))
_OF_ONE = re.compile(
    r"\W*(?:what about|and|or|is(?! there)|are(?! there)|was|were|does|do(?! you)|did|has|have(?! you)|will|would|"
    r"could(?! you)|can(?! you)|why|when|how|who|where)\b",
    re.IGNORECASE,
)


def said_limit(question: str, names: Iterable[str]) -> dict[str, Any] | None:
    """The filter that a question's words set, None where they set none for sure. names: the metadata that there is."""
    found = list(_LIMIT.finditer(question))
    if len(found) != 1 or _ELSE.search(question) or _OF_ONE.match(question):
        return None
    said = " ".join(found[0][0].casefold().split())
    number = re.search(r"\d[\d.,]*", said)
    amount = number[0].rstrip(".,") if number else ""
    price = _price(names, next(code for name, code in _CURRENCIES.items() if name in said))
    if price is None or not _NUMBER.fullmatch(amount) or _DENIED.search(question[: found[0].start()]):
        return None
    operator = next(sign for words, sign in _OPERATORS.items() if said.startswith(words))
    return {price: {operator: float(amount)}}


def asks_no_more(question: str) -> bool:
    """Whether a question with a limit asks for whatever is within it: `What costs less than 5 euros?`"""
    return not set(telling_words(_LIMIT.sub(" ", question))) - _WHATEVER


def _price(names: Iterable[str], currency: str) -> str | None:
    """The one name that is plainly a price, in no other currency than this."""
    prices = []
    for name in names:
        words = tokens(name)
        if "price" in words and len(words) <= 2 and all(one == "price" or one in _CURRENCIES for one in words):
            prices.append((name, [_CURRENCIES[one] for one in words if one != "price"]))
    if len(prices) != 1 or prices[0][1] not in ([], [currency]):
        return None
    return prices[0][0]

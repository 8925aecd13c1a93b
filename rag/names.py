"""What a question names outright: a document by its id, or documents by a word of their metadata: a brand, an article's
number.

All of a question may be such a name, whatever it is. Within a longer one only what looks like a number of an article
is, and only where few documents have it: `1080p` is none where half of the shop has it.
"""

from __future__ import annotations

import re

MOST_NAMED = 3
"""Documents that may share an article's number for it to count within a longer question."""
_MOST_CHARS, _MOST_CODES = 80, 20
_RUN = re.compile(r"[^\W_][\w./+#-]*")
_CODE = re.compile(r"(?=.*\d)(?:(?=.*[^\W\d_]).{3,}|\d{8,})")
"""Letters and digits, or eight digits at least, as an EAN has: `2019` and `10000 yen` are numbers of other things."""
_CALLED = r"(?:sku|asin|ean|gtin|upc|isbn|mpn|id|items?|articles?|products?|things?|part|brand|number|no|nr|by|from)"
_AROUND = re.compile(
    rf"\A(?:(?:all|any|your|the|show me|do you have|do you sell)\s+)*(?:{_CALLED}\b[\s.:#]*)*|"
    r"\s+(?:brand|products?|items?)\Z",
    re.IGNORECASE,
)


def whole_names(question: str) -> list[str]:
    """What all of a question may name: itself, and itself without `SKU`, `brand` and the like around it."""
    said = question.strip(" \t?!.,;:#\"'“”„«»()")
    bare = _AROUND.sub("", said).strip(" #")
    return [name for name in dict.fromkeys([said, bare]) if 0 < len(name) <= _MOST_CHARS]


def codes(question: str) -> list[str]:
    """What within a question looks like a number of an article."""
    runs = (run.rstrip("./+#-") for run in _RUN.findall(question))
    return [run for run in dict.fromkeys(runs) if len(run) <= _MOST_CHARS and _CODE.fullmatch(run)][:_MOST_CODES]


def is_number(name: str) -> bool:
    """Whether a name is a number long enough to be an article's."""
    return name.isascii() and name.isdecimal() and 5 <= len(name) <= 18

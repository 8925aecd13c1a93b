"""What a question names outright: a document by its id, or documents by a word of their metadata: a brand, an article's
number.

All of a question may be such a name, whatever it is. Within a longer one only what looks like a number of an article
is, and only where few documents have it: `1080p` is none where half of the shop has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.passages import Passage

MOST_NAMED = 3
"""Documents that may share an article's number for it to count within a longer question."""
_MOST_CHARS, _MOST_CODES = 80, 20
_RUN = re.compile(r"[^\W_][\w./+#-]*")
_CODE = re.compile(r"(?=.*\d)(?:(?=.*[^\W\d_]).{3,}|\d{8,})")
"""Letters and digits, or eight digits at least, as an EAN has: `2019` and `10000 yen` are numbers of other things."""
_TOLD = re.compile(r"\b(?:sku|id|item|article|product|number|no|nr)[\s.:#]+(\d{5,7})\b", re.IGNORECASE)
"""A shorter one is a number of an article where the question says so."""
_PARTS = re.compile(r"([^\W\d_]{2,8})[ -]?(\d{2,12}[^\W\d_]?)")
_APART = re.compile(r"\b[^\W\d_]{2,8} \d{2,12}[^\W\d_]?\b")
_CALLED = (
    r"(?:sku|asin|ean|gtin|upc|isbn|mpn|id|items?|articles?|products?|(?:any|some|every)?things?|part|brand|number|no|"
    r"nr|by|from)"
)
_AROUND = re.compile(
    r"\A(?:(?:all|any|your|the|show me|do you (?:have|sell|stock)|is there|are there|"
    r"(?:what|which)(?: products?| items?| else)? (?:does|do|are|is))\s+)*"
    rf"(?:{_CALLED}\b[\s.:#]*)*|\s+(?:brand|products?|items?|makes?|sells?|offers?)\Z",
    re.IGNORECASE,
)


def whole_names(question: str) -> list[str]:
    """What all of a question may name: itself, and itself without `SKU`, `brand` and the like around it."""
    said = question.strip(" \t?!.,;:#\"'“”„«»()")
    bare = _AROUND.sub("", said).strip(" #")
    names = [name for one in (said, bare) for name in _ways(one)]
    return [name for name in dict.fromkeys(names) if 0 < len(name) <= _MOST_CHARS]


def codes(question: str) -> list[str]:
    """What within a question looks like a number of an article."""
    runs = [run.rstrip("./+#-") for run in _RUN.findall(question)]
    written = [way for one in [*runs, *_APART.findall(question)] for way in _ways(one)]
    found = [one for one in written if len(one) <= _MOST_CHARS and _CODE.fullmatch(one)]
    return list(dict.fromkeys([*_TOLD.findall(question), *found]))[:_MOST_CODES]


def is_number(name: str) -> bool:
    """Whether a name is a number long enough to be an article's."""
    return name.isascii() and name.isdecimal() and 5 <= len(name) <= 18


def called(names: Sequence[str], passages: Sequence[Passage]) -> list[int]:
    """The first passages of the documents that are called so: by their id, or by a value with a figure in it that no
    other one has.
    """
    documents: set[str] = set()
    for name in {name.casefold() for name in names}:
        figures = any(map(str.isdigit, name))
        having = {
            one.document
            for one in passages
            if name == one.document.casefold() or (figures and name in (text.casefold() for text in one.facts.values()))
        }
        documents |= having if len(having) == 1 else set()
    first = {one.document: place for place, one in reversed(list(enumerate(passages)))}
    return sorted(first[document] for document in documents)


def _ways(name: str) -> list[str]:
    """A name, and the other ways in which a number of letters and figures is written: `ket 002` for `KET-002`."""
    parts = _PARTS.fullmatch(name)
    return [name] if parts is None else [name, "-".join(parts.groups()), "".join(parts.groups())]

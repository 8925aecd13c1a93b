"""The gold tuples of a record: a cell of a table or the elements of a SemEval file -> aspects, each term in its place.

Places are numbers, whatever the file has (published copies hold them as strings, and sorted them so). They are those of
the text before cleaning; what counts is where the term stands in the text as students read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from recipes.rows import POLARITIES, Aspect, Polarity
from synth.cleaning import clean_text
from synth.content import Unfit

_NO_TERM = {"", "null", "none"}
_LETTER = "[^\\W_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""A letter or digit of a script that parts its words: Thai, Lao, Burmese, Khmer, Japanese, Chinese do not, and Korean
has particles at them.
"""


@dataclass(slots=True)
class Gold:
    """The tuples of one text, in the order of their place; and what had to be done to them.

    slices: mixed, whether more than one polarity is among them; implicit, whether one of them has no opinion words,
    where the source says. elsewhere: terms that were found at another place than the source gives. without_term: tuples
    without a term (target NULL), which task: atsa has no use for.
    """

    aspects: list[Aspect] = field(default_factory=list)
    slices: dict[str, str] = field(default_factory=dict)
    elsewhere: int = 0
    without_term: int = 0

    def encode(self) -> str:
        """As JSON, to stand in a field of an example."""
        told = [aspect.model_dump() for aspect in self.aspects]
        return orjson.dumps([told, self.slices, self.elsewhere, self.without_term]).decode()


def decode_gold(said: str) -> Gold:
    """What `Gold.encode` wrote."""
    told, *others = orjson.loads(said)
    return Gold([Aspect.model_construct(**aspect) for aspect in told], *others)


def read_gold(task: str, cell: Any, raw: str, text: str) -> Gold:
    """The gold tuples in `cell` of a text. raw: the text as the source has it; text: as it was cleaned.

    Raises Unfit with the reason: no_aspects, bad_aspects, unknown_polarity, term_not_found.
    """
    found = [tuple_ for tuple_ in _tuples(cell) if _belongs(task, tuple_)]
    gold = Gold(slices=_slices(found))
    taken: list[int] = []
    for told in found:
        polarity = _polarity(told)
        if task == "acsa":
            gold.aspects.append(Aspect(category=_text(told.get("category")), polarity=polarity))
            continue
        term = clean_text(_text(told.get("target", told.get("term"))))
        if term.lower() in _NO_TERM:
            gold.without_term += 1
            continue
        start, moved = _place(term, told, raw, text, taken)
        taken.append(start)
        gold.elsewhere += moved
        category = _text(told.get("category")) or None
        place = {"start": start, "end": start + len(term)}
        gold.aspects.append(Aspect(target=term, category=category, polarity=polarity, **place))
    if task == "atsa":
        gold.aspects.sort(key=lambda aspect: (aspect.start, aspect.end))
    return gold


def _tuples(cell: Any) -> list[Mapping[str, Any]]:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        raise Unfit("no_aspects", "nobody says which tuples the text has: write [] where it has none")
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise Unfit("bad_aspects", f"the cell is no JSON: {cell[:60]!r}") from None
    if not isinstance(cell, Sequence) or not all(isinstance(one, Mapping) for one in cell):
        raise Unfit("bad_aspects", "the cell is no list of objects {target, category, polarity, start, end}")
    return list(cell)


def _belongs(task: str, told: Mapping[str, Any]) -> bool:
    """Whether a tuple is of the task: rest14 has terms and categories apart, others both in one."""
    kind = str(told.get("kind", "opinion"))
    if kind == "opinion" and task == "acsa" and not _text(told.get("category")):
        raise Unfit("bad_aspects", f"a tuple has no category: {str(dict(told))[:100]}")
    return kind == "opinion" or kind == ("term" if task == "atsa" else "category")


def _polarity(told: Mapping[str, Any]) -> Polarity:
    said = _text(told.get("polarity")).lower()
    polarity = next((polarity for polarity in POLARITIES if polarity == said), None)
    if polarity is None:
        raise Unfit("unknown_polarity", f"a polarity is {said[:40]!r}; there is {', '.join(POLARITIES)}")
    return polarity


def _slices(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of all tuples of a text, those without a term among them, as published."""
    slices = {"mixed": _yes(len({_text(told.get("polarity")).lower() for told in found}) > 1)}
    known = [implied for told in found if (implied := _implied(told)) is not None]
    return {"implicit": _yes(any(known)), **slices} if known else slices


def _implied(told: Mapping[str, Any]) -> bool | None:
    """Whether no word of opinion shows the polarity; None where the source does not say.

    opinion_words: what the published benchmark has; a term without any is implied. Else SCAPT's implicit_sentiment.
    """
    if "opinion_words" in told and "implicit_sentiment" not in told:
        return not told["opinion_words"]
    said = told.get("implicit_sentiment", told.get("implicit"))
    return None if said is None else str(said).strip().lower() in ("true", "yes", "1")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _place(term: str, told: Mapping[str, Any], raw: str, text: str, taken: Sequence[int]) -> tuple[int, bool]:
    """(start of the term in `text`, whether the source gives another place). Raises Unfit where it is nowhere.

    At the source's own place it may be a part of a word; anywhere else it must be whole words.
    """
    start, end = (_number(told, *names) for names in (("start", "from"), ("end", "to")))
    near = None if start is None or end is None else len(clean_text(raw[:start] + "x")) - 1  # "x": white space counts
    there = near is not None and clean_text(raw[start:end]) == term
    if near is not None and there and text.startswith(term, near):
        return near, False
    whole = rf"(?:(?<!{_LETTER})|(?!{_LETTER})){re.escape(term)}(?:(?!{_LETTER})|(?<!{_LETTER}))"
    places = [match.start() for match in re.finditer(whole, text)]
    if not places:
        raise Unfit("term_not_found", f"the term {term[:60]!r} stands nowhere in the text as a word of its own")
    if near is None:
        return next((place for place in places if place not in taken), places[0]), False
    return min(places, key=lambda place: abs(place - near)), not there


def _number(told: Mapping[str, Any], *names: str) -> int | None:
    """A place in characters: a number, or a string of digits."""
    value = next((told[name] for name in names if told.get(name) is not None), None)
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0 or number != float(value):
        raise Unfit("bad_aspects", f"a place is {str(value)[:40]!r}: it must be a number of characters, from 0 on")
    return number


def _text(value: Any) -> str:
    return " ".join(str(value).split()) if value is not None else ""

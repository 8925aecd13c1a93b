"""Is an answer supported by its sources? The pieces of it that can be checked and that no source has.

Checked are numbers (with their units), quotations of several words, model codes and names of several capitalised words:
what a model invents when it makes facts up. All else is left alone, so that few answers are blamed that should not be:
numbers in words, small numbers without a unit, list markers, single names, the first word of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from synth.quantities import ALIKE, Quantity, quantities, spelt, unit_called

_SMALL = 10
"""Numbers up to this need a unit to be checked: they count reasons, steps, people."""
_LONGEST_CODE = 40
"""Letters and digits: of a longer one it is enough that the sources have it somewhere."""
_MONEY = frozenset("$€£")
_PRICE_IN_WORDS = re.compile(
    r"(?<![a-z])(?:[a-z]{1,12}[ -]){1,4}(?:euros?|dollars?|pounds?|eur|usd|gbp)(?![a-z])", re.IGNORECASE
)
_BESIDE, _MOST_JOINED = 30, 6
"""Characters before a number in which its unit may stand; numbers in a row that may share one."""
_SIDE = r"(?:\([a-z]{1,2}\)|(?:[hwdl]|height|width|depth|length|diameter|high|wide|deep|long|tall)\b:?)"
_JOINS = re.compile(
    rf"\s{{0,4}}(?:{_SIDE}\s{{0,4}})?-?\s{{0,4}}(?:[-–—/,x×]|to|and|or|by|,\s{{0,4}}and|,\s{{0,4}}or)\s{{0,4}}"
    rf"(?:{_SIDE}\s{{0,4}}|(?:even|up to)\s{{1,4}})?",
    re.IGNORECASE,
)
_AFTER_SIDE = re.compile(rf"\s{{0,4}}{_SIDE}\s{{0,4}}([^\W\d_]{{1,12}}|[\"″%])(?!\w)", re.IGNORECASE)
"""The unit of `3 (D) cm`."""
_CLAUSE = re.compile(r"[.;!?\n]|\d")
_UNIT_WORD = re.compile(r"[^\W\d_]+|[$€£%]")
_PRICED = re.compile(
    r"\b(?:prices?|priced|costs?|for only|rrp|msrp|sells? (?:at|for))\b|\b(?:now:?|offer(?::| is| at))\s{0,4}$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"^[ \t]*(?:[-*#>][ \t]*)*\(?\d{1,3}[.)](?=\s)", re.MULTILINE)
_IDIOMS = re.compile(r"\b24/7\b|\b50/50\b|\b\d-in-1\b|['’]\d0['’]?s\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_QUOTED = re.compile(
    r"“([^“”]{3,200})”|«\s?([^«»]{3,200}?)\s?»|(?<![\w\"])\"(?=[^\s\"])([^\"\n]{3,200})(?<=\S)\"(?!\w)"
)
_CODE = re.compile(r"(?<![\w.,/-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![\w-])")
_MEASURE = re.compile(
    r"\d+(?:x\d+)+[A-Za-z]{0,2}|\d+(?:[.,]\d+)?-?[A-Za-z]{0,2}(?:-[a-z]+)*|[\d-]+[a-z]+(?:-[a-z]+)*-?|"
    r"(?:[Uu]nder|[Oo]ver|[Mm]id|[Pp]re|[Pp]ost|[Ss]ub|[Uu]p-to)-\d+s?",
    re.ASCII,
)
"""A number with a unit or a word beside it (`5cm`, `1080p`, `12-inch`, `3-year-old`, `under-3s`): no model code."""
_NAME = re.compile(r"(?<![\w'’-])[A-Z][\w'’-]*(?:[ ](?:(?:of|the|and|de|van|von|&)[ ])?[A-Z][\w'’-]*)+")
_SENTENCE = re.compile(r"(?:^|[.!?:;…]|\n)[\s\"“”'‘’*_#>()\-–—•]*$")
_HUMP = re.compile(r"\b(?:[a-z]{1,2}[A-Z][a-z]+|[A-Z][a-z]{2,}[A-Z][a-z]+)\w*")
_COMMON_WORDS = """
    i the a an and of for in on with to or it its this that these those if you your not no yes
    january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday christmas eve day new year years easter halloween
    thanksgiving valentine valentine's mother's father's united states kingdom america american north south east west
    europe european english british french german spanish italian japanese chinese world war middle ages york
    wi-fi bluetooth internet dvd cd tv pc usb
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Capitalised words of which no product's name is made alone."""


def ungrounded(answer: str, sources: Sequence[str], values: Sequence[str] | None = None) -> list[str]:
    """The checked pieces of `answer` that none of `sources` has, in their order, each once.

    values: of fields, whose numbers may have any unit. Where they are given, a number of the sources that has no unit
    beside it bears out no small one that has, and no price.
    """
    known = _Known("\n".join([*sources, *(values or ())]))
    if values is not None:
        known.tell_units("\n".join(sources), "\n".join(values))
    found = [*_numbers(answer, known), *_quotations(answer, known), *_codes(answer, known), *_names(answer, known)]
    return list(dict.fromkeys(piece for _, piece in sorted(found)))


class _Known:
    """What the sources have: values with their units, words, and all their letters and digits in a row."""

    def __init__(self, source: str) -> None:
        self.units: dict[float, set[str | None]] = {}
        for quantity in quantities(source):
            for reading in quantity.readings:
                for value in reading:
                    self.units.setdefault(value, set()).add(quantity.unit if len(reading) == 1 else None)
        for value in spelt(source):
            self.units.setdefault(value, set()).add("in words")
        for price in _PRICE_IN_WORDS.findall(source):
            for value in spelt(price):
                self.units.setdefault(value, set()).add(None)
        self.strict: frozenset[float] | None = None
        self.words = {word for found in _WORD.findall(source) for word in _forms(found)}
        self.source = source
        self.run = _run(source)

    def tell_units(self, text: str, values: str) -> None:
        """Let bare numbers of a text have the units beside them alone; those of fields may have any."""
        self.strict = frozenset(value for one in quantities(values) for reading in one.readings for value in reading)
        for value, unit in _units_beside(text):
            self.units.setdefault(value, set()).add(unit)

    def has_code(self, code: str) -> bool:
        """Whether the sources have a model code, hyphens and spaces aside: `500mAh` is no part of `1500mAh`."""
        run = _run(code)
        if run not in self.run or len(run) > _LONGEST_CODE:
            return run in self.run
        before = r"(?<!\d)(?<!\d[.,])" if run[0].isdigit() else r"(?<![^\W\d_])"
        after = r"(?!\d)" if run[-1].isdigit() else r"(?![^\W\d_])"
        spelt_out = r"[\W_]*".join(map(re.escape, run))
        return re.search(before + spelt_out + after, self.source, re.IGNORECASE) is not None

    def has(self, quantity: Quantity) -> bool:
        """Whether a reading of the number stands in the sources, with its unit or without any."""
        return any(all(self._has(value, quantity.unit) for value in reading) for reading in quantity.readings)

    def _has(self, value: float, unit: str | None) -> bool:
        units = self.units.get(value)
        if units is None or unit is None:
            return units is not None
        # every text has `a` or `one`, which is no price
        plain: set[str | None] = {None} if unit in _MONEY else {None, "in words"}
        if self.strict is not None and value not in self.strict and value.is_integer():
            plain -= {None} if unit in _MONEY or value <= _SMALL else set()
        return bool({*plain, unit, *ALIKE.get(unit, ())} & units)


def _units_beside(text: str) -> Iterator[tuple[float, str]]:
    """Bare numbers with units that may be theirs: of the number after it (`3 to 6 years`) or in words just before it
    (`weight in kg: 3`, `EUR 1`, `Price: 1`).
    """
    end, row, units = 0, list[Quantity](), set[str]()
    for quantity in quantities(text):
        begin = text.find(quantity.text, end)
        if begin < 0:
            continue  # written otherwise there: an ordinal
        if not (row and _JOINS.fullmatch(text, end, begin)):
            row, units = [], set()
        row, end = [*row, quantity][-_MOST_JOINED:], begin + len(quantity.text)
        own = quantity.unit or _unit_after(text, end)
        units = {own} if own else units | _units_before(text[max(0, begin - _BESIDE) : begin])
        for one in row:
            yield from ((value, unit) for reading in one.readings for value in reading for unit in units)


def _unit_after(text: str, end: int) -> str | None:
    """The unit behind the side that a number is of."""
    found = _AFTER_SIDE.match(text, end)
    return unit_called(found[1]) if found is not None else None


def _units_before(text: str) -> set[str]:
    """The units that words before a number name; a price may be in any money."""
    said = _CLAUSE.split(text)[-1]
    found = {unit for word in _UNIT_WORD.findall(said) if word != "in" and (unit := unit_called(word)) is not None}
    return found | (_MONEY if _PRICED.search(said) else set())


def _numbers(answer: str, known: _Known) -> Iterator[tuple[int, str]]:
    text = _blanked(_CODE, _blanked(_IDIOMS, _blanked(_LISTED, answer)), keep=_MEASURE)
    at = 0
    for quantity in quantities(text):
        at = max(at, answer.find(quantity.text, at))
        value = max(max(reading) for reading in quantity.readings)
        if (quantity.unit is not None or value > _SMALL) and not known.has(quantity):
            yield at, quantity.text


def _quotations(answer: str, known: _Known) -> Iterator[tuple[int, str]]:
    for found in _QUOTED.finditer(answer):
        quoted = next(group for group in found.groups() if group is not None)
        if len(_WORD.findall(quoted)) > 1 and _run(quoted) not in known.run:
            yield found.start(), found[0]


def _codes(answer: str, known: _Known) -> Iterator[tuple[int, str]]:
    for found in _CODE.finditer(answer):
        code = found[0]
        if len(code) > 3 and not _MEASURE.fullmatch(code) and not known.has_code(code):
            yield found.start(), code
    for found in _HUMP.finditer(answer):
        if _run(found[0]) not in known.run:
            yield found.start(), found[0]


def _names(answer: str, known: _Known) -> Iterator[tuple[int, str]]:
    """Names of which the sources have no word at all. Headings and what stands before a colon are no names."""
    for found in _NAME.finditer(answer):
        words, start = found[0].split(" "), found.start()
        if _SENTENCE.search(answer[max(0, start - 20) : start]) or not start:
            if answer[found.end() : found.end() + 1] in (":", "*", "\n", ""):
                continue
            start += len(words[0]) + 1
            words = words[1:]
        own = [word for word in words if word[:1].isupper() and word.casefold() not in _COMMON]
        if len(own) > 1 and not any(_forms(word) & known.words for word in own):
            yield start, " ".join(words)


def _forms(word: str) -> set[str]:
    """A word without case, also without its plural or possessive ending, and its parts around hyphens."""
    folded = word.casefold().replace("’", "'")
    forms = {folded, folded.removesuffix("'s"), folded.removesuffix("s"), *folded.split("-")}
    return {form for form in forms if form}


def _run(text: str) -> str:
    """Letters and digits alone, in a row, without case."""
    return re.sub(r"[\W_]", "", text).casefold()


def _blanked(pattern: re.Pattern[str], text: str, keep: re.Pattern[str] | None = None) -> str:
    """`text` with spaces in place of what `pattern` finds (unless all of that is what `keep` finds)."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if keep is not None and keep.fullmatch(found[0]) else " " * len(found[0])

    return pattern.sub(blank, text)

"""Numbers in a text, with their units, whichever way they are written: 1,000 and 1000, 3½ and 3.5, 5" and 5 inches."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_UNITS = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimeters millimetre millimetres",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "m": "m meter meters metre metres",
        "km": "km kilometer kilometers kilometre kilometres",
        "in": 'in inch inches " ″ \'\' ”',
        "ft": "ft foot feet ′",
        "yd": "yd yard yards",
        "g": "g gram grams gramme grammes",
        "kg": "kg kilo kilos kilogram kilograms",
        "mg": "mg milligram milligrams",
        "lb": "lb lbs", "pound": "pound pounds",
        "oz": "oz ounce ounces",
        "ml": "ml milliliter milliliters millilitre millilitres",
        "l": "l liter liters litre litres",
        "gal": "gal gallon gallons",
        "kb": "kb", "mb": "mb megabyte megabytes", "gb": "gb gigabyte gigabytes", "tb": "tb terabyte terabytes",
        "hz": "hz hertz", "khz": "khz", "mhz": "mhz", "ghz": "ghz",
        "w": "w watt watts", "v": "v volt volts", "mah": "mah", "db": "db decibel decibels",
        "mp": "mp megapixel megapixels", "dpi": "dpi",
        "%": "% percent", "$": "$ usd dollar dollars", "€": "€ eur euro euros", "£": "£ gbp",
        "°c": "°c", "°f": "°f", "°": "° º degree degrees",
        "s": "s sec second seconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours",
        "day": "day days", "week": "week weeks", "month": "month months", "year": "year years",
        "page": "page pages",
    }.items()
    for name in names.split()
}  # fmt: skip
"""As it is written, in lower case -> unit. `pound` may be a weight or money, `degree` of any kind: see ALIKE."""
ALIKE = {
    "pound": {"lb", "£"}, "lb": {"pound"}, "£": {"pound"}, "°": {"°c", "°f"}, "°c": {"°"}, "°f": {"°"},
}  # fmt: skip
"""Unit -> others that may be the same."""
_HEAT = r"(?:[°º]|degrees?)\s?(?:fahrenheit|celsius|centigrade|[cf])"
_UNIT = "|".join(sorted(map(re.escape, set(_UNITS) - {"in"}), key=len, reverse=True))
_INCH = r"in(?=\s*(?:[.,;:)/x×]|$|wide|long|high|tall|deep|thick|by\b))"
"""Not the word: `5 in the box`."""
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_PLAIN = r"\d{1,3}(?:[,.  \u2009]\d{3})+(?!\d)(?:[.,]\d+)?|\d+[.,]\d+|\d+|[.,]\d+"
_PART = rf"[{_FRACTIONS}]|\d/\d{{1,2}}(?!\d)"
_NUMBER = re.compile(
    rf"(?P<money>[$€£]\s?)?"
    rf"(?:(?P<whole>\d+)(?:[ -]|(?![\d/]))(?P<part>{_PART})|(?P<fraction>{_PART})|(?P<plain>{_PLAIN}))"
    rf"(?:[\s-]?(?P<unit>{_HEAT}(?![A-Za-z])|{_UNIT}|{_INCH})(?![A-Za-z]))?",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th|['’]?s)\b", re.IGNORECASE)
_TIMES = re.compile(r"(?<=[\d\"″])\s?[x×]\s?(?=\d)", re.IGNORECASE)

_UP = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: float(value) for value, word in enumerate(_UP.split())}
_WORDS |= {word: 10.0 * tens for tens, word in enumerate(_TENS.split()) if tens > 1}
_WORDS |= {
    "half": 0.5, "quarter": 0.25, "pair": 2, "double": 2, "dual": 2, "twin": 2, "both": 2, "couple": 2, "twice": 2,
    "triple": 3, "dozen": 12, "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "tenth": 10,
    "single": 1, "a": 1, "an": 1,
}  # fmt: skip
_TIMES_WORD = {"hundred": 100.0, "thousand": 1_000.0, "million": 1_000_000.0}
_SPELT = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it stands in a text.

    readings: what it can mean, each a set of values. unit: None where none is known.
    """

    text: str
    readings: tuple[frozenset[float], ...]
    unit: str | None


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers in digits, in their order. `5 x 7` and `10-15` are two each."""
    for found in _NUMBER.finditer(_TIMES.sub(" x ", _ORDINAL.sub(" ", text))):
        yield Quantity(found[0].strip(), tuple(_readings(found)), unit_called(found["unit"] or found["money"] or ""))


def spelt(text: str) -> set[float]:
    """The numbers in words: `twenty-four`, `two hundred`, `a dozen`."""
    values: set[float] = set()
    last = before = 0.0
    for word in _SPELT.findall(text.lower()):
        if word in _TIMES_WORD:
            value = (last or 1.0) * _TIMES_WORD[word]
        elif word in _WORDS:
            value = _WORDS[word]
            if value < 10 and last in range(20, 100, 10):
                values.add(last + value)
            if value < 100 and before >= 100:
                values.add(before + value)
        else:
            last = before = 0.0
            continue
        values.add(value)
        before = value if word in _TIMES_WORD else before
        last = value
    return values


def unit_called(written: str) -> str | None:
    """The unit that is written so, None where it is none."""
    name = written.strip().lower()
    if re.fullmatch(_HEAT, name):
        return "°f" if name.endswith(("f", "fahrenheit")) else "°c"
    return _UNITS.get(name)


def _readings(found: re.Match[str]) -> Iterator[frozenset[float]]:
    if found["part"] is not None:
        whole, part = float(found["whole"]), _fraction(found["part"])
        yield frozenset({whole + part})
        if "/" in found["part"]:
            yield frozenset({whole, *map(float, found["part"].split("/"))})
    elif found["fraction"] is not None:
        yield frozenset({_fraction(found["fraction"])})
        if "/" in found["fraction"]:
            yield frozenset(map(float, found["fraction"].split("/")))
    else:
        yield from _plain(found["plain"])


def _plain(text: str) -> Iterator[frozenset[float]]:
    """1,000 may be a thousand or one; 1 000 may be two numbers, and so may 3,5."""
    parts = re.split(r"[,.\s]", text)
    grouped = len(parts) > 1 and all(len(part) == 3 for part in parts[1:]) and parts[0] != ""
    if grouped:
        yield frozenset({float("".join(parts))})
    if len(parts) > 2 and len(parts[-1]) != 3:
        yield frozenset({float("".join(parts[:-1]) + "." + parts[-1])})
    if len(parts) == 2 and " " not in text:
        yield frozenset({float(f"{parts[0] or 0}.{parts[1]}")})
    if not grouped or " " in text:
        yield frozenset(float(part) for part in parts if part)


def _fraction(text: str) -> float:
    if "/" not in text:
        return unicodedata.numeric(text)
    over, under = text.split("/")
    return int(over) / int(under) if int(under) else 0.0

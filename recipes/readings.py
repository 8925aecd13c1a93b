"""What a teacher made of a review, read: its opinions (analysis), or a rewrite that makes feelings explicit.

A teacher that is asked answers with one JSON object, {"opinions": [{target, aspect, sentiment, reasoning}, ...]} or
{"rewrite": "..."}. A corpus that was written before may also have the forms of its own: lines of "target | aspect |
sentiment | reasoning", or "Opinion Target 1: ... Aspect: ... Sentiment: ... Reasoning: ..." (arXiv 2412.18552).
What is wrong with a reading beside its form is said by `junk.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from recipes.aspects import grade_of, one_line, read_opinions
from recipes.chat import Reply
from recipes.junk import analysis_junk, impersonal, rewrite_junk
from recipes.objects import (
    MOST_REPAIRED,
    Problem,
    json_repaired,
    kind_of,
    no_twins,
    objects_in,
    refused_by_provider,
    why_nothing,
)
from recipes.rows import GRADES, Grade, Opinion, Outcome, storable

KEYS = ("target", "aspect", "sentiment", "reasoning")
MOST_OPINIONS = 40
"""In one review; more are a teacher that goes round in a circle."""

_LINE = re.compile(r"[\W_]*(opinion target|target|aspect|sentiment|reasoning)\s*\d*\s*\**\s*:\s*(.*)", re.IGNORECASE)
_OTHER = re.compile(r"[\W_]*[A-Z][\w ]{2,30}:\s*(?:\d+ ?%.*|[\[{].*)?")
"""What else a teacher writes on lines of its own: "Confidence: 90%", "Response:" and the same once more."""
_FIELD = re.compile(r"[\W_]*[A-Z][\w ]{1,30}:.*")
"""A line with a name of its own: after an empty line it is no more of the reasoning ("ID: none was given")."""
_STRONG = re.compile(r"(?:very|extremely|highly|strongly) (positive|negative)")
_MILD = re.compile(r"(?:mild(?:ly)?|slightly|somewhat|moderately|fairly) (positive|negative)")
_MIDDLE = {"mild", "mild sentiment", "mixed", "moderate", "average", "neutral sentiment"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says: opinions (of an analysis) or a rewrite; neither where it is not usable.

    problem: what was wrong, in words that the teacher can be shown. junk: the reason, where the form is good and the
    content is not.
    """

    outcome: Outcome
    opinions: tuple[Opinion, ...] | None = None
    rewrite: str | None = None
    problem: str = ""
    junk: str | None = None


def parse_analysis(reply: Reply, review: str, shown: frozenset[str] = frozenset()) -> Reading:
    """Read a reply as the opinions of `review`. shown: texts of the prompt's examples. Never raises."""
    found = _parsed(reply, "opinions")
    if isinstance(found, Reading):
        return found
    value, outcome = found
    try:
        opinions, clean = _opinions(value)
    except Problem as problem:
        return Reading("malformed", problem=str(problem))
    junk = analysis_junk(opinions, review, shown)
    if junk is not None:
        return Reading("malformed", problem=junk[1], junk=junk[0])
    return Reading(outcome if clean else "repaired", opinions)


def parse_rewrite(reply: Reply, review: str, shown: frozenset[str] = frozenset()) -> Reading:
    """Read a reply as a rewrite of `review`, likewise."""
    found = _parsed(reply, "rewrite")
    if isinstance(found, Reading):
        return found
    value, outcome = found
    if not isinstance(value, str) or not value.strip():
        message = '"rewrite" is empty' if isinstance(value, str) else f'"rewrite" must be a text, got {kind_of(value)}'
        return Reading("malformed", problem=message)
    reading = _rewritten(value, outcome, review, shown)
    junk = impersonal(reading.rewrite) if reading.rewrite is not None else None
    return reading if junk is None else Reading("malformed", problem=junk[1], junk=junk[0])


def read_written(part: str, text: str, review: str) -> Reading:
    """An analysis or a rewrite that a corpus has, in whatever form.

    Of an analysis the opinions that can be read are kept; that others were not makes it `repaired`.
    """
    if part == "rewrite":
        lines = text.rstrip().split("\n")
        kept = lines[: next((at for at, line in enumerate(lines) if at and _OTHER.fullmatch(line)), len(lines))]
        outcome: Outcome = "clean" if kept == lines else "repaired"
        return _rewritten("\n".join(kept), outcome, review, frozenset())
    if text.lstrip().startswith(("[", "{")):
        return parse_analysis(Reply(text), review)
    if "|" in text:
        opinions, invalid = read_opinions(" ; ".join(line for line in text.split("\n") if line.strip()))
    else:
        opinions, invalid = _from_lines(text)
    if not opinions and invalid:
        return Reading("malformed", problem="no opinion in it can be read")
    junk = analysis_junk(opinions, review, frozenset())
    if junk is not None:
        return Reading("malformed", problem=junk[1], junk=junk[0])
    return Reading("repaired" if invalid else "clean", opinions)


def is_analysis(text: str) -> bool:
    """Whether a text of a corpus is an analysis, by its form; else it is a rewrite."""
    start = text.lstrip()
    if start.startswith(("[", "{")):
        return True
    return any(_LINE.fullmatch(line) for line in start.split("\n", 3)[:3]) or bool(read_opinions(start)[0])


def _rewritten(text: str, outcome: Outcome, review: str, shown: frozenset[str]) -> Reading:
    text = storable(one_line(text))
    junk = rewrite_junk(text, review, shown)
    if junk is not None:
        return Reading("malformed", problem=junk[1], junk=junk[0])
    return Reading(outcome, rewrite=text)


def _parsed(reply: Reply, key: str) -> tuple[Any, Outcome] | Reading:
    """What stands under `key` of the one JSON object in a reply; a bare list counts as opinions."""
    stopped = refused_by_provider(reply)
    if stopped is not None:
        return Reading("refused", problem=stopped)
    text = reply.text.rpartition("</think>")[2] if "</think>" in reply.text else reply.text
    try:
        return _value(text, key)
    except Problem as problem:
        outcome, sentence = why_nothing(reply, text, str(problem))
        return Reading(outcome, problem=sentence)


def _value(text: str, key: str) -> tuple[Any, Outcome]:
    if not text.strip():
        raise Problem("the reply is empty")
    outcome: Outcome = "clean"
    try:
        found = orjson.loads(text)
        if text.count(f'"{key}"') > 1:
            json.loads(text, object_pairs_hook=no_twins)  # a key twice: orjson would keep the last
    except (ValueError, RecursionError):
        found, outcome = _mended(text, key), "repaired"
    if isinstance(found, list) and key == "opinions":
        return found, "repaired"
    if not isinstance(found, dict):
        raise Problem(f"expected one JSON object, got {kind_of(found)}")
    if key not in found:
        alike = [name for name in found if str(name).strip().casefold() == key]
        if len(alike) != 1:
            raise Problem(f'the JSON object has no key "{key}"')
        return found[alike[0]], "repaired"
    return found[key], outcome


def _mended(text: str, key: str) -> Any:
    """The object in a text that is no strict JSON: fenced, with words around it, or with slips."""
    if len(text) > MOST_REPAIRED:
        raise Problem(f"the reply has {len(text)} characters and is not one JSON object")
    start = text.find("[")
    if key == "opinions" and 0 <= start < (text.find("{") if "{" in text else len(text)):
        pieces = [text[start : text.rfind("]") + 1] or text[start:]]
    else:
        pieces = objects_in(text)
    if not pieces:
        raise Problem("the reply holds no JSON object")
    if any(pieces[-1].count(opened) > pieces[-1].count(closed) for opened, closed in ("{}", "[]")):
        raise Problem("the JSON object breaks off before its end")  # a repair would drop the opinions that are missing
    if len(pieces) > 1:
        raise Problem("the reply holds several JSON objects")
    try:
        return json.loads(pieces[0], strict=False)
    except (ValueError, RecursionError):
        return json_repaired(pieces[0])


def _opinions(value: Any) -> tuple[tuple[Opinion, ...], bool]:
    """(opinions, each once; whether they are written exactly as asked). Raises Problem."""
    if not isinstance(value, list):
        raise Problem(f'"opinions" must be a list, got {kind_of(value)}')
    if len(value) > MOST_OPINIONS:
        raise Problem(f"there are {len(value)} opinions: at most {MOST_OPINIONS} are read")
    found = [_opinion(place, one) for place, one in enumerate(value, 1)]
    opinions = tuple(dict.fromkeys(opinion for opinion, _ in found))
    return opinions, all(exact for _, exact in found) and len(opinions) == len(found)


def _opinion(place: int, value: Any) -> tuple[Opinion, bool]:
    if not isinstance(value, dict):
        raise Problem(f"opinion {place} must be an object, got {kind_of(value)}")
    named = {str(name).strip().casefold(): said for name, said in value.items()}
    for key in KEYS:
        if not isinstance(named.get(key), str) or not named[key].strip():
            raise Problem(f'opinion {place} needs "{key}", a text that is not empty')
    grade = graded(named["sentiment"])
    if grade is None:
        shown = storable(one_line(named["sentiment"])[:40])
        raise Problem(f"the sentiment of opinion {place} must be one of {', '.join(GRADES)}, got {shown!r}")
    target, aspect, _, reasoning = (storable(one_line(named[key])) for key in KEYS)
    exact = value.get("sentiment") == grade and set(KEYS) <= set(value)
    return Opinion(target=target, aspect=aspect, sentiment=grade, reasoning=reasoning), exact


def graded(text: str) -> Grade | None:
    """The grade that a teacher's words name; what they say of its strength beyond the five grades is left out."""
    said = one_line(re.sub(r"\([^)]*\)|[*\"'.`]", " ", text).replace("_", " ").replace("-", " ").lower())
    exact = grade_of(said)
    if exact is not None or said in _MIDDLE:
        return exact or "neutral"
    if strong := _STRONG.fullmatch(said):
        return "very positive" if strong[1] == "positive" else "very negative"
    if mild := _MILD.fullmatch(said):
        return "positive" if mild[1] == "positive" else "negative"
    return None


def _from_lines(text: str) -> tuple[tuple[Opinion, ...], int]:
    """(opinions, how many could not be read) of "Opinion Target 1: ..." and the lines that follow it."""
    opinions, invalid = [], 0
    for fields in _grouped(text):
        grade = graded(fields.get("sentiment", ""))
        named = (one_line(fields.get(name, "")) for name in ("target", "aspect", "reasoning"))
        target, aspect, reasoning = (said.strip("\"'*“” ") for said in named)
        if grade is None or not target or not aspect:
            invalid += 1
        else:
            opinions.append(Opinion(target=target, aspect=aspect, sentiment=grade, reasoning=reasoning))
    return tuple(dict.fromkeys(opinions)), invalid


def _grouped(text: str) -> Iterator[dict[str, str]]:
    """The fields of each opinion; a target may stand once for several aspects."""
    fields: dict[str, str] = {}
    last, before = "", ""
    for line in map(str.strip, text.split("\n")):
        after_gap, before = not before, line
        named = _LINE.fullmatch(line)
        if named is None:
            if _OTHER.fullmatch(line):
                break
            if after_gap and _FIELD.fullmatch(line):
                last = ""
            if last and line:
                fields[last] += " " + line
            continue
        name = named[1].lower().removeprefix("opinion ")
        if name in ("target", "aspect") and "aspect" in fields:
            yield fields
            fields = {"target": fields["target"]} if name == "aspect" and "target" in fields else {}
        fields[name], last = named[2], name
    if "aspect" in fields:
        yield fields

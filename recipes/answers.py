"""Reply text -> answer: the label a teacher gave and why, or what was wrong with the reply.

Nothing is guessed. A reply whose form is a little off (fenced, text around, single quotes, a trailing comma, another
case) is `repaired`; one that does not name exactly one of the labels is `malformed` and says why, so that the teacher
can be asked again with that sentence. "not positive" is never read as positive. Work is bounded on any reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from recipes.chat import Reply
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
from recipes.rows import Outcome, storable

if TYPE_CHECKING:
    from recipes.prompts import AnswerFormat

_NAMED = re.compile(r"[\s*_\"'`]*(?:final )?(?:label|sentiment|answer)[\s*_\"'`]*[:=](.*)", re.IGNORECASE | re.DOTALL)
_EDGES = " \t\r\n.,;:!\"'`*_()[]<>“”‘’«»"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply says.

    value: one of the recipe's labels, or None where the reply is not usable.
    problem: what was wrong, in words that the teacher can be shown; empty for a usable answer.
    unknown: what stood in the label's place, where that is not one of the labels.
    """

    value: str | None
    rationale: str | None
    outcome: Outcome
    problem: str = ""
    unknown: str | None = None


def parse_answer(reply: Reply, answer: AnswerFormat, labels: Sequence[str]) -> Answer:
    """Read `reply` as the prompt's answer format says; `labels` are the recipe's. Never raises, whatever the reply."""
    stopped = refused_by_provider(reply)
    if stopped is not None:
        return Answer(None, None, "refused", stopped)
    text = reply.text.rpartition("</think>")[2] if "</think>" in reply.text else reply.text
    try:
        if answer.kind == "json":
            return _read_json(text, answer, labels)
        return _read_word(text, labels, cut=reply.finish_reason == "length")
    except Problem as problem:
        outcome, sentence = why_nothing(reply, text, str(problem))
        return Answer(None, None, outcome, sentence, problem.unknown if outcome == "malformed" else None)


def _read_json(text: str, answer: AnswerFormat, labels: Sequence[str]) -> Answer:
    outcome: Outcome = "clean"
    try:
        found = orjson.loads(text)
        if text.count(answer.label) > 1:
            found = json.loads(text, object_pairs_hook=no_twins)  # a key twice: orjson would keep the last
    except (ValueError, RecursionError):
        found, outcome = _repaired(text, answer, labels), "repaired"
    if not isinstance(found, dict):
        raise Problem(f"expected one JSON object, got {kind_of(found)}")
    label, exact = _label(_value(found, answer.label), labels)
    if not exact or answer.label not in found:
        outcome = "repaired"
    rationale = None
    if answer.rationale is not None:
        rationale = _value(found, answer.rationale)
        if not isinstance(rationale, str):
            raise Problem(f'"{answer.rationale}" must be text, got {kind_of(rationale)}')
        rationale = storable(rationale)
    return Answer(label, rationale, outcome)


def _read_word(text: str, labels: Sequence[str], cut: bool) -> Answer:
    if not text.strip():
        raise Problem("the reply is empty")
    if text in labels:
        label = text
    else:
        bare = text.strip(_EDGES)
        named = _NAMED.fullmatch(bare) if len(bare) < 400 else None
        bare = named[1].strip(_EDGES) if named else bare
        if len(bare) > 2 * max(len(label) for label in labels) + 10:
            raise Problem(f"the whole reply must be one of {_listed(labels)}")
        label = _label(bare, labels)[0]
    if cut and any(other != label and other.casefold().startswith(label.casefold()) for other in labels):
        raise Problem("the reply may have been cut off inside a longer label")
    return Answer(label, None, "clean" if text in labels else "repaired")


def _label(value: Any, labels: Sequence[str]) -> tuple[str, bool]:
    """The label that `value` spells, and whether it does so to the letter."""
    if isinstance(value, str) and value in labels:
        return value, True
    if not isinstance(value, str | int | float):
        raise Problem(f"the label must be one of {_listed(labels)}, got {kind_of(value)}")
    seen = str(value).strip()
    for label in labels:
        if seen.casefold() == label.strip().casefold():
            return label, False
    shown = storable(seen[:60] + ("…" if len(seen) > 60 else ""))
    raise Problem(f"the label must be one of {_listed(labels)}, got {shown!r}", unknown=shown)


def _value(found: dict[str, Any], key: str) -> Any:
    """The value under `key`, or under its only spelling in another case."""
    if key in found:
        return found[key]
    alike = [name for name in found if name.strip().casefold() == key.casefold()]
    if len(alike) != 1:
        raise Problem(f'the JSON object has no key "{key}"')
    return found[alike[0]]


def _repaired(text: str, answer: AnswerFormat, labels: Sequence[str]) -> Any:
    """The one answer among the objects in `text`, each mended where it must be."""
    if not text.strip():
        raise Problem("the reply is empty")
    if len(text) > MOST_REPAIRED:
        raise Problem(f"the reply has {len(text)} characters and is not one JSON object")
    answers: list[dict[str, Any]] = []
    problem = Problem("the reply holds no JSON object")
    for piece in objects_in(text):
        try:
            found = _mended(piece, answer.label)
            _label(_value(found, answer.label), labels)
            answers.append(found)
        except Problem as error:
            if error.unknown is not None:
                raise
            problem = error
    if not answers:
        raise problem
    if len({_label(_value(found, answer.label), labels)[0] for found in answers}) > 1:
        raise Problem("the reply holds several JSON objects with different labels")
    return answers[-1]


def _mended(piece: str, label_key: str) -> dict[str, Any]:
    """One object as a dict. A repair may change punctuation; it may not drop a word beside the label."""
    try:
        found = json.loads(piece, object_pairs_hook=no_twins)
    except (ValueError, RecursionError):
        found = json_repaired(piece)
        value = str(_value(found, label_key)) if isinstance(found, dict) else ""
        if len(value) < 100 and not _stands_alone(piece, label_key, value):
            raise Problem(f'the value of "{label_key}" is not clear') from None
    if not isinstance(found, dict):
        raise Problem("the reply holds no JSON object")
    return found


def _stands_alone(piece: str, key: str, value: str) -> bool:
    """Whether `key: value` is written exactly once in `piece` and is followed by the next key or the end."""
    piece, value = " ".join(piece.split()), " ".join(value.split())  # long white space would cost its square
    quote = "[\"'“”‘’`]"
    key_at = rf"{quote}?{re.escape(key)}{quote}?\s*:\s*"
    if len(re.findall(key_at, piece, re.IGNORECASE)) != 1:
        return False
    after = rf"\s*(?:[}}\]]|$|,\s*(?:[}}]|$|{quote}?[\w -]{{1,60}}{quote}?\s*:)|{quote}[\w -]{{1,60}}{quote}\s*:)"
    return re.search(rf"{key_at}{quote}?\s*{re.escape(value)}\s*{quote}?{after}", piece, re.IGNORECASE) is not None


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels)

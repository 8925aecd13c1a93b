"""JSON objects in a teacher's reply: where they begin and end, what is wrong with them, and replies that hold none."""

from __future__ import annotations

import re
from typing import Any

from recipes.chat import Reply
from recipes.rows import Outcome, storable

MOST_REPAIRED = 20_000
"""Characters: a longer reply is read if it is strict JSON, and not repaired."""
MOST_NESTED = 64
"""Opening brackets in one object that is worth a repair; json_repair is slow on thousands of them."""

_REFUSAL = re.compile(
    r"\W*(?:as an ai\b|(?:[^.\n]{0,80}?\b)?(?:i|we)(?: am|'m|’m| are|'re|’re)?(?: \w+)? ?"
    r"(?:cannot|can not|can['’]t|won['’]t|will not|unable to|not able to|not comfortable|decline|refuse)\b[^.\n]{0,40}?"
    r"\b(?:help|assist|provide|classify|label|rate|judge|comply|fulfil|answer|respond|process|analy[sz]e|engage|continue|"
    r"generate|participate|comment|complete|offer|give|support|share|do (?:that|this)|with (?:that|this)|to)\b)",
    re.IGNORECASE,
)


class Problem(Exception):
    """Why a reply is malformed."""

    def __init__(self, sentence: str, unknown: str | None = None) -> None:
        super().__init__(sentence)
        self.unknown = unknown


def refused_by_provider(reply: Reply) -> str | None:
    """What the provider says about a reply that it stopped, or None."""
    if reply.refusal or reply.finish_reason == "content_filter":
        return (reply.refusal or "the provider's content filter stopped the reply")[:500]
    return None


def why_nothing(reply: Reply, text: str, problem: str) -> tuple[Outcome, str]:
    """(outcome, sentence) of a reply that cannot be read because of `problem`: cut off, a refusal, or malformed.

    text: the reply without what the teacher thought before it.
    """
    if reply.finish_reason == "length":
        return "truncated", "the reply was cut off by max_tokens before the answer was complete"
    if "{" not in text and _REFUSAL.match(text[:400]):
        return "refused", storable(text.strip()[:300])
    return "malformed", problem


def objects_in(text: str) -> list[str]:
    """The outermost {...} of a text; the last may lack its end. Braces in double-quoted strings do not count."""
    pieces: list[str] = []
    depth = start = 0
    quoted = escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"' and depth:
            quoted = not quoted
        elif quoted or char not in "{}":
            continue
        elif char == "{":
            start = start if depth else at
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                pieces.append(text[start : at + 1])
    if depth:
        end = text.rfind("}", start)
        if end < 0 and quoted:
            raise Problem("the JSON object breaks off inside a string")
        pieces.append(text[start : end + 1] if end >= 0 else text[start:])
    return pieces


def json_repaired(piece: str) -> Any:
    from json_repair import repair_json  # 10 ms to import, and most runs never need it

    if sum(piece.count(bracket) for bracket in "{[(") > MOST_NESTED:
        raise Problem("the JSON object is nested too deeply")
    try:
        return repair_json(piece, return_objects=True, skip_json_loads=True)
    except Exception as error:  # heuristics of another library on text from anywhere: a bad reply must not end a run
        raise Problem(f"the reply is no JSON object ({type(error).__name__})") from None


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise Problem(f'the JSON object has the key "{key[:60]}" twice with different values')
    return found


def kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

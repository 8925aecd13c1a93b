"""Reply text -> the question, reasoning and response that a teacher wrote, or what was wrong with the reply.

No word is lost or added. Strict JSON is read as it is. In any other reply the three keys are looked for, and each value
is all that stands between its quotes and the next key: so raw line breaks, unescaped quotes, single or typographic
quotes, a comma too many, a fence and text around do no harm. Where that is not plain, the reply is malformed and says
why, so that the teacher can be asked again with that sentence. Work is bounded on any reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from recipes.chat import Reply
from recipes.objects import Problem, kind_of, no_twins, objects_in, refused_by_provider, why_nothing
from recipes.rows import Outcome, storable

if TYPE_CHECKING:
    from recipes.prompts import AnswerFormat

MOST_READ = 100_000
"""Characters: a longer reply is read if it is strict JSON, and not repaired."""
_MOST_KEYS = 20
_QUOTES = "\"'“”„‘’`"
_CLOSING = {'"': '"', "'": "'", "“": '”"“', "”": '”"', "„": "“”", "‘": "’'", "’": "’", "`": "`'"}
"""Opening quote -> what may close it."""
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|.)", re.DOTALL)
"""As JSON has them, and as Python does."""
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_END = re.compile(rf"[{_QUOTES}]\s{{0,99}},?\s{{0,99}}\}}")
_OTHER_KEY = re.compile(rf"[{_QUOTES}]\s*,\s*[{_QUOTES}][\w -]{{1,40}}[{_QUOTES}]\s*:")


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What a reply says. problem: what was wrong with it; empty: which of the three (by its key) has no text."""

    question: str
    reasoning: str
    response: str
    outcome: Outcome
    problem: str = ""
    empty: str | None = None


def parse_reasoned(reply: Reply, form: AnswerFormat) -> Reasoned:
    """Read `reply` as the prompt's answer format says. Never raises, whatever the reply."""
    stopped = refused_by_provider(reply)
    if stopped is not None:
        return Reasoned("", "", "", "refused", stopped)
    keys = form.key_names()
    text = _without_thought(reply.text, keys)
    if text is None:
        return Reasoned("", "", "", "truncated", "the reply ends inside <think>, before the answer begins")
    try:
        values, outcome = _read(text, keys, cut=reply.finish_reason == "length")
    except Problem as problem:
        return Reasoned("", "", "", *why_nothing(reply, text, str(problem)))
    question, reasoning, response = texts = [storable(value).strip() for value in values]
    empty = next((key for key, value in zip(keys, texts, strict=True) if not value), None)
    if empty is not None:
        return Reasoned("", "", "", "malformed", f'"{empty}" is empty', empty)
    return Reasoned(question, reasoning, response, outcome)


def _without_thought(text: str, keys: Sequence[str]) -> str | None:
    """The reply without what a reasoning model thought aloud before it; None where that has no end.

    A draft in the thought is no answer. But `</think>` may stand in the answer's own texts, where no thought ends.
    """
    for _ in range(_MOST_KEYS):
        if not text.lstrip().startswith("<think>"):
            break
        _, closed, text = text.partition("</think>")
        if not closed:
            return None
    else:
        return None
    before, closed, after = text.rpartition("</think>")  # a template may have opened the thought
    if not closed or _is_json(text):
        return text
    ends = any(_key_pattern(_folded(key)).search(after) for key in keys) or _is_whole(before, keys)
    return after if ends else text


def _is_json(text: str) -> bool:
    try:
        _parsed(text)
    except ValueError:
        return False
    except Problem:  # JSON with a key twice, or too deep: its reader says so
        pass
    return True


def _is_whole(text: str, keys: Sequence[str]) -> bool:
    """Whether all of an answer stands in `text`."""
    try:
        _read(text, keys, cut=True)
    except Problem:
        return False
    return True


def _read(text: str, keys: Sequence[str], cut: bool) -> tuple[list[str], Outcome]:
    """The three values. `cut`: the reply ended at max_tokens, so what has no end is not whole."""
    try:
        found = orjson.loads(text)
    except ValueError:
        if not text.strip():
            raise Problem("the reply is empty") from None
        if len(text) > MOST_READ:
            raise Problem(f"the reply has {len(text)} characters and is not one JSON object") from None
        return _from_objects(text, keys) or _between_keys(text, keys, cut), "repaired"
    inner = _unwrapped(found)
    if not isinstance(inner, dict):
        raise Problem(f"expected one JSON object, got {kind_of(inner)}")
    if any(text.count(f'"{key}"') > 1 for key in keys):
        _parsed(text)  # a key twice: orjson would keep the last
    clean = inner is found and all(key in inner for key in keys)
    return [_value(inner, key) for key in keys], "clean" if clean else "repaired"


def _unwrapped(found: Any) -> Any:
    """An object out of a list of one, out of `{"answer": {...}}`, or out of a text that holds it as JSON."""
    for _ in range(3):
        if isinstance(found, str):
            try:
                found = orjson.loads(found)
            except ValueError:
                return found
        inner = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], dict | list):
            return found
        found = inner[0]
    return found


def _parsed(text: str) -> Any:
    """Lenient JSON (raw line breaks in texts). Raises Problem for a key that stands twice, else ValueError."""
    try:
        return json.loads(text, strict=False, object_pairs_hook=no_twins)
    except RecursionError:
        raise Problem("the JSON object is nested too deeply") from None


def _value(found: dict[str, Any], key: str) -> str:
    """The text under `key`, or under its only spelling with other case, spaces or underscores."""
    if key not in found:
        alike = [name for name in found if _folded(name) == _folded(key)]
        if len(alike) != 1:
            raise Problem(f'the JSON object has no key "{key}"')
        found = {key: found[alike[0]]}
    if not isinstance(found[key], str):
        raise Problem(f'"{key}" must be one text, got {kind_of(found[key])}')
    return str(found[key])


def _folded(key: str) -> str:
    return re.sub(r"[\W_]", "", key).casefold()


def _from_objects(text: str, keys: Sequence[str]) -> list[str] | None:
    """The values of the one object in `text` that is JSON but for raw line breaks; None where there is none."""
    answers: list[list[str]] = []
    try:
        pieces = objects_in(text)
    except Problem:
        return None
    for piece in pieces[:_MOST_KEYS]:
        try:
            found = _unwrapped(_parsed(piece))
        except ValueError:
            continue
        if isinstance(found, dict) and {_folded(key) for key in keys} <= {_folded(name) for name in found}:
            values = [_value(found, key) for key in keys]
            answers += [values] if values not in answers else []
            text = text.replace(piece, "")
    if len(answers) > 1:
        raise Problem("the reply holds several JSON objects")
    return answers[0] if answers and not _END.search(text) else None


def _between_keys(text: str, keys: Sequence[str], cut: bool) -> list[str]:
    """What stands between the keys, each of which must be there once."""
    if "{" not in text and ":" not in text:
        raise Problem("the reply holds no JSON object")
    places = sorted((*_place(text, key), number) for number, key in enumerate(keys))
    values = [""] * len(keys)
    for at, (_, begin, number) in enumerate(places):
        last = at + 1 == len(places)
        segment = text[begin:] if last else text[begin : places[at + 1][0]]
        values[number] = _quoted(segment, keys[number], last, cut)
    return values


def _place(text: str, key: str) -> tuple[int, int]:
    """Where `key` begins, and where its value does. Only a key counts that follows a bracket, a comma or a quote."""
    found = []
    for count, match in enumerate(_key_pattern(_folded(key)).finditer(text)):
        if count > _MOST_KEYS:
            break
        before = text[max(0, match.start() - 50) : match.start()].rstrip()
        if not before or before[-1] in "{,[" + _QUOTES or before.endswith("```json"):
            found.append(match.span())
    if not found:
        raise Problem(f'the JSON object has no key "{key}"')
    if len(found) > 1:
        raise Problem(f'the key "{key}" stands in the reply more than once')
    return found[0]


@lru_cache(maxsize=16)
def _key_pattern(folded: str) -> re.Pattern[str]:
    """A key in quotes and its colon; or without quotes, before a value that has them."""
    letters = r"[\s_-]{0,2}".join(map(re.escape, folded))
    quoted = rf"[{_QUOTES}]\s{{0,9}}{letters}\s{{0,9}}[{_QUOTES}]\s{{0,99}}:\s*"
    return re.compile(rf"{quoted}|\b{letters}\s{{0,9}}:\s*(?=[{_QUOTES}])", re.IGNORECASE)


def _quoted(segment: str, key: str, last: bool, cut: bool) -> str:
    """The text in quotes at the start of `segment`, which ends where the object does (last) or before the next key."""
    if segment[:1] not in _CLOSING:
        shown = {"{": "an object", "[": "a list"}.get(segment[:1], "something without quotes")
        raise Problem(f'"{key}" must be one text in double quotes, got {shown}')
    quote = '"""' if segment.startswith('"""') and not segment.startswith('""""') else segment[0]
    closing = re.escape(quote) if len(quote) > 1 else f"[{_CLOSING[quote]}]"
    body = segment[len(quote) :]
    if not last:
        end = re.search(rf"{closing}\s*,?\s*\Z", body[-200:])
        stop = None if end is None else len(body) - len(body[-200:]) + end.start()
    else:
        stop = _end(body, closing, cut)
    if stop is None or _is_escaped(body, stop) or _OTHER_KEY.search(body, 0, stop) or _joined(body[:stop], closing):
        raise Problem(f'it is not clear where the text of "{key}" ends: write \\" for every double quote inside a text')
    return _ESCAPE.sub(_unescaped, body[:stop])


def _joined(body: str, closing: str) -> bool:
    """Whether a quote that is not escaped may end a text, as in `first" + "second`: code, and not words."""
    ends = re.finditer(rf"{closing}\s{{0,99}}[,+]\s{{0,99}}[{_QUOTES}]", body)
    return any(not _is_escaped(body, end.start()) for end in ends)


def _end(body: str, closing: str, cut: bool) -> int | None:
    """Where the last text of an object ends: before its only closing bracket, or at the end of a reply without one."""
    ends = [end.start() for end in re.finditer(rf"{closing}\s{{0,99}},?\s{{0,99}}\}}", body)]
    ends = [at for at in ends if not _is_escaped(body, at)]
    if len(ends) == 1:
        return ends[0]
    open_end = None if cut or ends else re.search(rf"{closing}[\s`]*\Z", body[-200:])
    return None if open_end is None else len(body) - len(body[-200:]) + open_end.start()


def _is_escaped(text: str, at: int) -> bool:
    before = text[max(0, at - 20) : at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _unescaped(escape: re.Match[str]) -> str:
    """What a backslash and the next character stand for; the two themselves where JSON has no such escape."""
    code = escape[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, escape[0])

"""The lines of a reply journal.

    {"crc32":"9e83486d","key":"<sha256>","kind":"reply","usage":[812,640,57],"example":"a1","sample":0,"model":"m","asked":"5d0c","at":1795248000,"reply":{"text":...}}
    {"crc32":"...","key":"<sha256>","kind":"timeout","usage":[0,0,0],...,"reply":{"message":"no answer within 120 s"}}
    {"crc32":"...","key":"<sha256>","kind":"withdrawn","usage":[0,0,0],...,"reply":{"message":"to be asked again"}}
    {"crc32":"...","lease":[4096,0,65536]}

The checksum covers every byte after its own field, so that a flipped bit anywhere in a line is found. `usage` is
prompt, cached and completion tokens; `uncertain` (only where there are any) are tokens that may have been billed for
tries that broke off. `asked` (only where it is known) tells questions apart: a changed prompt is another one. A lease
says up to how many tokens may be on their way without a line of their own yet.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from recipes.chat import FinishReason, Reply, TokenLogprobs, Usage
from recipes.rows import storable

_OPENING = b'{"crc32":"'
_CHECKED = len(_OPENING) + len('00000000",')
"""Offset of the first byte under the checksum."""
_DETAIL = b',"reply":'
"""Ends the head of a line. It cannot be inside a string: there every quote has a backslash before it."""


NO_TOKENS = Usage()


WITHDRAWN = "withdrawn"
"""Kind of a line that takes back what the lines before it say of its request, but for what they cost."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that ended without a reply. `message` holds no key."""

    kind: str
    message: str

    @property
    def final(self) -> bool:
        """Whether asking again is pointless: the request itself was refused as wrong (400, 413, 422)."""
        return self.kind == "rejected"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to remember: what came of the request `key`.

    example: id of the example it was asked for. sample: number of the vote. at: Unix time in seconds.
    uncertain: tokens of broken-off tries of this request that may have been billed.
    asked: what the request has in common with those about the other rows, as recipes/plan.py names it.
    """

    key: str
    example: str
    found: Reply | Failure
    sample: int = 0
    model: str = ""
    at: int = 0
    uncertain: Usage = NO_TOKENS
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The part of a line that is read when a journal is opened."""

    key: str | None
    kind: str
    usage: Usage
    uncertain: Usage
    lease: Usage | None


def encode(entry: Entry) -> bytes:
    """The entry as a line with its end."""
    found = entry.found
    head: dict[str, Any] = {"key": entry.key}
    if isinstance(found, Reply):
        head["kind"] = "reply"
        head["usage"] = _tokens(found.usage)
        detail = _reply_fields(found)
    else:
        head["kind"] = found.kind
        head["usage"] = (0, 0, 0)
        detail = {"message": storable(found.message)}
    if entry.uncertain != NO_TOKENS:
        head["uncertain"] = _tokens(entry.uncertain)
    head["example"] = storable(entry.example)
    head["sample"] = entry.sample
    head["model"] = storable(entry.model)
    if entry.asked:
        head["asked"] = entry.asked
    head["at"] = entry.at
    head["reply"] = detail
    return _line(head)


def encode_lease(lease: Usage, uncertain: Usage = NO_TOKENS) -> bytes:
    """A line that says what may be on its way from now on, and what a killed run may have had on its way."""
    body: dict[str, Any] = {"lease": _tokens(lease)}
    if uncertain != NO_TOKENS:
        body["uncertain"] = _tokens(uncertain)
    return _line(body)


def checked(line: bytes) -> bytes | None:
    """The bytes of a line under its checksum, or None where they are damaged. Windows line ends are allowed."""
    if not line.endswith(b"\n"):
        return None
    body = line[_CHECKED : -2 if line.endswith(b"\r\n") else -1]
    return body if line.startswith(b'%s%08x",' % (_OPENING, zlib.crc32(body))) else None


def begins_like_a_line(data: bytes) -> bool:
    """Whether `data`, a line or the first bytes of one, can be of a journal."""
    return data[: len(_OPENING)] == _OPENING[: len(data)]


def decode_head(body: bytes) -> Head:
    """Read what `checked` returned, but for the reply. Raises ValueError, KeyError or TypeError for another format."""
    end = body.find(_DETAIL)
    fields = orjson.loads(b"{" + (body if end < 0 else body[:end] + b"}"))
    uncertain = _usage(fields["uncertain"]) if "uncertain" in fields else NO_TOKENS
    if "key" not in fields:
        return Head(None, "", NO_TOKENS, uncertain, _usage(fields["lease"]))
    bytes.fromhex(fields["key"])
    return Head(fields["key"], fields["kind"], _usage(fields["usage"]), uncertain, None)


def decode(body: bytes) -> Entry:
    """The whole entry of what `checked` returned. Raises ValueError, KeyError or TypeError for another format."""
    fields = orjson.loads(b"{" + body)
    found: Reply | Failure
    if fields["kind"] == "reply":
        found = _reply(fields["reply"], _usage(fields["usage"]))
    else:
        found = Failure(str(fields["kind"]), str(fields["reply"]["message"]))
    uncertain = _usage(fields["uncertain"]) if "uncertain" in fields else NO_TOKENS
    named = fields["example"], found, fields["sample"], fields["model"], fields["at"]
    return Entry(fields["key"], *named, uncertain, fields.get("asked", ""))


def _line(body: dict[str, Any]) -> bytes:
    rest = orjson.dumps(body)[1:]
    return b'%s%08x",%s\n' % (_OPENING, zlib.crc32(rest), rest)


def _tokens(usage: Usage) -> tuple[int, int, int]:
    return usage.prompt, usage.cached, usage.completion


def _usage(tokens: list[int]) -> Usage:
    prompt, cached, completion = tokens
    if not (type(prompt) is type(cached) is type(completion) is int and min(tokens) >= 0):
        raise ValueError("tokens are counts")
    return Usage(prompt, cached, completion)


def _reply_fields(reply: Reply) -> dict[str, Any]:
    fields: dict[str, Any] = {"text": storable(reply.text), "finish": reply.finish_reason}
    if reply.refusal is not None:
        fields["refusal"] = storable(reply.refusal)
    if reply.logprobs is not None:
        fields["logprobs"] = [
            [storable(one.token), [[storable(text), round(logprob, 5)] for text, logprob in one.top]]
            for one in reply.logprobs
        ]
    return fields


def _reply(fields: dict[str, Any], usage: Usage) -> Reply:
    finish: FinishReason = fields["finish"]
    logprobs = fields.get("logprobs")
    if logprobs is not None:
        logprobs = tuple(TokenLogprobs(token, tuple((text, lp) for text, lp in top)) for token, top in logprobs)
    if not isinstance(fields["text"], str):
        raise TypeError("a reply is text")
    return Reply(fields["text"], finish, usage, fields.get("refusal"), logprobs)

"""What an OpenAI-compatible server says: body -> Reply, error -> Fault, headers -> Allowance.

Every provider bends the format a little; what is not there is taken as nothing, what cannot be read is a Fault, and
nothing here raises anything else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from recipes.chat import FinishReason, Reply, TokenLogprobs, Usage
from recipes.keys import redact
from recipes.rows import storable
from synth.faults import Fault, kind_of_status
from synth.rates import Allowance

_FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_LONGEST_MESSAGE = 300
_DURATION = re.compile(r"([0-9.]+)(ms|h|m|s|)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 0.001}


def read_completion(body: bytes, content_type: str) -> Reply:
    """The reply in the body of a 200. Raises Fault where there is none."""
    data = _parsed(body)
    if data is None and body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise Fault("web_page", _shown(body))
    if not isinstance(data, dict):
        raise Fault("bad_body", f"expected a JSON object, got {content_type or 'no content type'}: {_shown(body)}")
    usage = read_usage(data.get("usage"))
    if isinstance(data.get("error"), dict):  # some gateways answer 200 and put the error inside
        code = data["error"].get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        raise Fault(kind_of_status(status, str(data["error"])), error_message(body), status, usage=usage)
    return read_choice(data.get("choices"), usage)


def read_choice(choices: Any, usage: Usage | None) -> Reply:
    """The reply in the first of `choices`."""
    choice = choices[0] if isinstance(choices, list) and choices else {}
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise Fault("bad_body", "the answer holds no choices", usage=usage)
    finish = choice.get("finish_reason")
    refusal = message.get("refusal")
    return Reply(
        text=_content(message.get("content")),
        finish_reason=_FINISHES.get(finish, "unknown") if isinstance(finish, str) else "unknown",
        usage=usage or Usage(),
        refusal=storable(refusal) if isinstance(refusal, str) and refusal else None,
        logprobs=read_logprobs(choice.get("logprobs")),
    )


def read_usage(usage: Any) -> Usage | None:
    """Tokens billed; cached ones as OpenAI and as DeepSeek name them. None where nothing was counted."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens")
    prompt = _count(usage.get("prompt_tokens"))
    return Usage(prompt, min(_count(cached), prompt), _count(usage.get("completion_tokens")))


def read_logprobs(found: Any) -> tuple[TokenLogprobs, ...] | None:
    """The alternatives of every token, or None where they were not given in full."""
    tokens = found.get("content") if isinstance(found, dict) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    try:
        return tuple(
            TokenLogprobs(
                storable(token["token"]),
                tuple((storable(top["token"]), float(top["logprob"])) for top in token.get("top_logprobs") or ()),
            )
            for token in tokens
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def error_message(body: bytes) -> str:
    """What an error's body says, in one short line."""
    data = _parsed(body)
    error = data.get("error", data) if isinstance(data, dict) else None
    said = error.get("message", error.get("detail")) if isinstance(error, dict) else error
    return _shown(str(said).encode("utf-8", "replace")) if said else _shown(body)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the provider asks to wait before this request is sent again."""
    try:
        if "retry-after-ms" in headers:
            return _seconds(float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.strip()[:1].isdigit():
            return _seconds(float(value))
        when = parsedate_to_datetime(value)
        return _seconds((when - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """The x-ratelimit-* headers, or None where there are none."""
    if "x-ratelimit-limit-requests" not in headers and "x-ratelimit-limit-tokens" not in headers:
        return None
    get = headers.get
    return Allowance(
        requests=_whole(get("x-ratelimit-limit-requests")),
        requests_left=_whole(get("x-ratelimit-remaining-requests")),
        requests_reset=_duration(get("x-ratelimit-reset-requests")),
        tokens=_whole(get("x-ratelimit-limit-tokens")),
        tokens_left=_whole(get("x-ratelimit-remaining-tokens")),
        tokens_reset=_duration(get("x-ratelimit-reset-tokens")),
    )


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        try:  # orjson refuses lone surrogates
            return json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            return None


def _content(content: Any) -> str:
    """A message's text; some servers send it in parts."""
    if isinstance(content, str):
        return storable(content)
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return storable("".join(part for part in parts if isinstance(part, str)))
    return ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _shown(body: bytes) -> str:
    text = " ".join(body[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace").split())
    return redact(text)[:_LONGEST_MESSAGE] or "(empty)"  # in this order: half a key is no longer recognised


def _seconds(value: float) -> float | None:
    return max(0.0, value) if math.isfinite(value) else None


def _whole(value: str | None) -> int | None:
    try:
        return int(float(value)) if value else None
    except (ValueError, OverflowError):
        return None


def _duration(value: str | None) -> float | None:
    """`1m30s`, `250ms`, `12` -> seconds."""
    parts = _DURATION.findall(value) if value else []
    try:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None
    except ValueError:
        return None

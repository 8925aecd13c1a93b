"""The body of POST /v1/chat/completions -> a question, as OpenAI reads it.

Of OpenAI's fields those that change nothing here (user, store, metadata ...) are taken and ignored; those that would
change the answer and cannot be had (n, tools, response_format ...) are refused where they ask for anything; fields that
nobody knows are refused as OpenAI does, so that a typo is no silent default. Two fields are our own: `where`, a filter
on the catalogue's metadata, and `passages`, how many to answer from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from rag.assistant import Options
from rag.openai_errors import ApiError, bad
from recipes.rows import Turn

MAX_TURNS = 200
"""Turns of one conversation."""
MAX_STOPS = 4
MAX_STOP_CHARS = 200

_READ = {
    "messages", "model", "stream", "stream_options", "stop", "max_tokens", "max_completion_tokens", "seed",
    "temperature", "top_p", "where", "passages",
}  # fmt: skip
_IGNORED = {
    "user", "store", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "parallel_tool_calls", "reasoning_effort", "verbosity", "prediction",
}  # fmt: skip
_REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (1,), "tools": ([],), "functions": ([],), "tool_choice": ("none", "auto"), "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},), "logprobs": (False,), "top_logprobs": (0,), "logit_bias": ({},),
    "presence_penalty": (0,), "frequency_penalty": (0,), "modalities": (["text"],), "audio": (),
    "web_search_options": (),
}  # fmt: skip
"""Field -> the values that ask for nothing."""
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """What a client asks. usage: whether a stream is to end with a count of its tokens."""

    messages: tuple[Turn, ...]
    options: Options
    stream: bool
    usage: bool


def read_question(body: bytes, model: str, most_tokens: int) -> ChatQuestion:
    """The question in `body`, for the one model there is. Raises ApiError (4xx) that names the field that is wrong."""
    fields = read_object(body)
    _check_names(fields)
    _check_model(fields.get("model"), model)
    stream = _flag(fields, "stream")
    asked = fields.get("stream_options")
    if asked is not None and not (isinstance(asked, dict) and stream):
        raise bad("stream_options is an object that goes with stream: true", "stream_options")
    temperature, top_p = _number(fields, "temperature", 0, 2), _number(fields, "top_p", 0, 1)
    if top_p == 0:
        temperature, top_p = 0.0, None  # the smallest set of tokens is the likeliest one alone
    seed = _whole(fields, "seed", -(2**63), 2**63 - 1)
    where = fields.get("where")
    if where is not None and not isinstance(where, dict):
        raise bad('where must be an object, such as {"brand": "Acme", "price": {"$lt": 20}}', "where")
    options = Options(
        max_tokens=_most(fields, most_tokens),
        temperature=temperature,
        top_p=top_p,
        seed=None if seed is None else seed % 2**32,
        stop=_stops(fields.get("stop")),
        where=where or None,
        top_k=_whole(fields, "passages", 1, 50),
    )
    return ChatQuestion(_turns(fields.get("messages")), options, stream, bool(asked and _flag(asked, "include_usage")))


def read_object(body: bytes) -> dict[str, Any]:
    """A body that is a JSON object in UTF-8. Raises ApiError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is not JSON in UTF-8: {str(error)[:200]}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise bad("the body must be a JSON object", code="invalid_json")
    return value


def _check_names(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name in _READ or name in _IGNORED:
            continue
        if name not in _REFUSED:
            near = get_close_matches(name[:40], [*_READ, *_IGNORED, *_REFUSED], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise bad(f"Unrecognized request argument supplied: {name[:40]}{hint}", name[:40], "unknown_parameter")
        if value is not None and not any(value == harmless for harmless in _REFUSED[name]):
            raise bad(f"{name} is not supported here: leave it out", name, "unsupported_parameter")


def _check_model(asked: Any, model: str) -> None:
    if asked is None or asked == model:
        return
    if not isinstance(asked, str):
        raise bad("model must be a string", "model")
    message = f"The model `{asked[:80]}` does not exist; this server has `{model}`"
    raise ApiError(404, message, code="model_not_found", param="model")


def _turns(value: Any) -> tuple[Turn, ...]:
    if not isinstance(value, list) or not value:
        raise bad("messages must be a list of at least one message", "messages")
    if len(value) > MAX_TURNS:
        raise bad(f"messages has {len(value):,} turns, and at most {MAX_TURNS} are read", "messages")
    turns = tuple(_turn(entry, f"messages[{place}]") for place, entry in enumerate(value))
    if turns[-1].role != "user" or not turns[-1].content.strip():
        raise bad("the last message must be the user's, and not empty", f"messages[{len(turns) - 1}]")
    return turns


def _turn(entry: Any, where: str) -> Turn:
    """A message; what it has beside role and content (name, annotations, sources ...) is not for the model."""
    if not isinstance(entry, dict):
        raise bad(f"{where} must be an object with role and content", where)
    name = entry.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        seen = f"{name[:40]!r}" if isinstance(name, str) else "missing or no text"
        raise bad(f"{where}.role is {seen}; known are system, developer, user, assistant", f"{where}.role")
    if entry.get("tool_calls") or entry.get("function_call"):
        raise bad(f"{where} calls a tool, and there are none here", where, "unsupported_parameter")
    content = entry.get("content")
    if content is None and role == "assistant":
        content = ""
    return Turn.model_validate({"role": role, "content": _text(content, f"{where}.content")})


def _text(content: Any, where: str) -> str:
    """Text, or a list of parts that are all text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad(f"{where} must be a string or a list of text parts", where)
    for place, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise bad(f'{where}[{place}] must be {{"type": "text", "text": "..."}}: only text is read here', where)
    return "\n".join(part["text"] for part in content)


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(f"{name} must be true or false", name)
    return bool(value)


def _number(fields: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise bad(f"{name} must be a number from {least} to {most}", name)
    return float(value)


def _whole(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad(f"{name} must be a whole number from {least} to {most}", name)
    return value


def _most(fields: Mapping[str, Any], most: int) -> int | None:
    """The most tokens that are asked for, under either of its names."""
    old, new = (_whole(fields, name, 1, most) for name in ("max_tokens", "max_completion_tokens"))
    if old is not None and new is not None:
        raise bad("give max_tokens or max_completion_tokens, not both", "max_tokens")
    return new if old is None else old


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    good = isinstance(stops, list) and len(stops) <= MAX_STOPS
    if not good or not all(isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        raise bad(f"stop must be a string or up to {MAX_STOPS}, none empty or over {MAX_STOP_CHARS} characters", "stop")
    return tuple(stops)

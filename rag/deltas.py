"""What one event of a streamed answer says, as OpenAI, DeepSeek, vLLM, Ollama, OpenRouter and llama.cpp write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from recipes.chat import Usage
from recipes.rows import storable
from synth.completions import error_message, read_usage
from synth.faults import Fault, kind_of_status

_THOUGHT = ("reasoning_content", "reasoning")
"""DeepSeek's, llama.cpp's and older vLLM's name; OpenRouter's, Ollama's and newer vLLM's."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Text of the answer, text of what is thought before it, how it ended, and tokens counted, where the event says."""

    text: str = ""
    thought: str = ""
    end: Literal["stop", "length"] | None = None
    usage: Usage | None = None


def read_delta(data: bytes) -> Delta:
    """An event's data. Raises Fault for an error that is sent in place of an answer, and for what is no JSON object."""
    event = _parsed(data)
    if not isinstance(event, dict):
        raise Fault("bad_body", f"an event that is no JSON object: {error_message(data)}")
    error = event.get("error")
    if error:
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        raise Fault(kind_of_status(status, str(error)), error_message(data), status)
    usage = read_usage(event.get("usage"))
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = {}
    thought = next((delta[name] for name in _THOUGHT if delta.get(name)), None)
    return Delta(_text(delta.get("content")), _text(thought), _end(choice.get("finish_reason")), usage)


def _end(finish: Any) -> Literal["stop", "length"] | None:
    if finish == "content_filter":
        raise Fault("rejected", "the provider's content filter ended the answer")
    if not finish:
        return None
    return "length" if finish in ("length", "max_tokens") else "stop"


def _text(content: Any) -> str:
    if isinstance(content, list):  # some send a text in parts
        content = "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return storable(content) if isinstance(content, str) else ""


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        try:  # orjson refuses lone surrogates
            return json.loads(data)
        except (ValueError, RecursionError):
            return None

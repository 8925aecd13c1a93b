"""A conversation of a user's own file -> the question, its response and what was said before.

Read are OpenAI's {role, content} and ShareGPT's {from, value}. The last turn of the assistant is the response, and is
what is learnt; earlier answers are history. Turns after it have no answer: they are left out, and counted. A response
that begins with <think> ... </think> (or a thought that
</think> ends, or whose turn has `reasoning_content`, `reasoning` or `thinking`) brings its reasoning; that of earlier
answers is dropped, as R1's and Qwen's templates do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from recipes.rows import Turn, storable
from synth.cleaning import clean_layout
from synth.content import Content, Unfit

_ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant",
}  # fmt: skip

_BESIDE = ("reasoning_content", "reasoning", "thinking")
"""Keys of a turn's reasoning: DeepSeek's and vLLM's, OpenRouter's, Ollama's."""
_LONE_END = re.compile(r"(?<![`'\"])</think>(?![`'\"])")


def read_conversation(value: Any) -> Content:
    """The fields question, response and maybe reasoning, with the history. Raises Unfit where it is no conversation."""
    turns = [_turn(entry, place) for place, entry in enumerate(_entries(value), 1)]
    answers = [place for place, (turn, _) in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        raise Unfit("no_response", "no turn is the assistant's")
    left_out = len(turns) - (answers[-1] + 1)
    turns = turns[: answers[-1] + 1]
    _check_order([turn for turn, _ in turns])
    *before, (question, _), (response, reasoning) = turns
    said, thought = split_thought(response.content)
    fields = {"question": question.content, "response": said}
    if reasoning or thought:
        fields["reasoning"] = reasoning or thought
    for name in ("question", "response"):
        if not fields[name]:
            raise Unfit(f"empty_{name}", f"the {name} is empty")
    return Content(fields, tuple(_without_thought(turn) for turn, _ in before), left_out)


def conversation_text(value: Any, most: int) -> str:
    """A cell that is no conversation as JSON of at most `most` characters, texts in it shortened where it is longer.

    A cell that is text stays as it is.
    """
    if isinstance(value, str):
        return storable(value)[:most]
    try:
        for longest in (most, 2_000, 300, 40):
            text = _json(_shortened(value, longest))
            if len(text) <= most:
                return text
    except RecursionError:
        return _json("lists in lists, too deep to be shown")
    return _json(text[: most // 2])  # very many turns: the beginning, as one JSON text


def _json(value: Any) -> str:
    return storable(json.dumps(value, ensure_ascii=False, default=str))


def _shortened(value: Any, longest: int) -> Any:
    """`value` with no text in it longer than `longest`."""
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + "…"
    if isinstance(value, Mapping):
        return {str(name): _shortened(part, longest) for name, part in value.items()}
    return [_shortened(part, longest) for part in value] if isinstance(value, list | tuple) else value


def split_thought(text: str) -> tuple[str, str]:
    """(answer, reasoning) of a text that begins with <think> ... </think>; of any other, the text and nothing.

    A template may have opened the thought: then one </think> stands alone, where it is not quoted.
    """
    text = text.strip()
    if text.startswith("<think>") and "</think>" in text:
        thought, _, said = text.removeprefix("<think>").partition("</think>")
        return said.strip(), thought.strip()
    if "<think>" not in text and text.count("</think>") == 1 and (end := _LONE_END.search(text)):
        return text[end.end() :].strip(), text[: end.start()].strip()
    return text, ""


def _entries(value: Any) -> list[Any]:
    """The turns; a cell of a CSV file holds them as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unfit("bad_messages", "the cell is text, and not a list of turns as JSON") from None
    if not isinstance(value, list) or not value:
        raise Unfit("bad_messages", "there is no list of turns" if value is None else "the list of turns is empty")
    return value


def _turn(entry: Any, place: int) -> tuple[Turn, str]:
    """A turn and the reasoning that stands beside its content."""
    if not isinstance(entry, Mapping):
        raise Unfit("bad_messages", f"turn {place} is no object with role and content")
    name = entry.get("role", entry.get("from"))
    role = _ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if role is None:
        raise Unfit(
            "bad_roles", f"turn {place} is by {str(name)[:40]!r}; known are system, user (human), assistant (gpt)"
        )
    content = _content(entry.get("content", entry.get("value")), place)
    beside = (entry.get(key) for key in _BESIDE)
    reasoning = next((clean_layout(text) for text in beside if isinstance(text, str) and text.strip()), "")
    known = cast(Literal["system", "user", "assistant"], role)
    return Turn.model_construct(role=known, content=clean_layout(content)), reasoning


def _content(value: Any, place: int) -> str:
    """Text, or a list of parts that are all text."""
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unfit("bad_messages", f"the content of turn {place} is not text")
    return value


def _check_order(turns: list[Turn]) -> None:
    """A system message first, if any; then user and assistant in turns."""
    first = 1 if turns[0].role == "system" else 0
    for place, turn in enumerate(turns[first:], first + 1):
        wanted = "user" if (place - first) % 2 else "assistant"
        if turn.role != wanted:
            raise Unfit("bad_roles", f"turn {place} is the {turn.role}'s where the {wanted}'s should be")
        if not turn.content and place < len(turns) - 1:
            raise Unfit("empty_turn", f"turn {place} is empty")


def _without_thought(turn: Turn) -> Turn:
    if turn.role != "assistant":
        return turn
    return Turn.model_construct(role="assistant", content=split_thought(turn.content)[0])

"""Frames of the third format: the tokenizer's own chat template, rendered with holes in place of what is said."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from finetune.rendering import CLOSE, OPEN, REASONING, RESPONSE, Frame, hole, holes
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = datetime(2024, 7, 26)
"""The date that templates with one are given (Llama 3.2 asks for today's): that which Llama 3.1's has built in. A
student is asked on another day than it was trained on, and its prompt must be the same."""

_THOUGHT = re.compile(f"{OPEN}.*?{CLOSE}", re.DOTALL)


def chat_frame(
    tokenizer: PreTrainedTokenizerBase, marks: re.Pattern[str] | None, roles: tuple[str, ...], reasoned: bool
) -> Frame:
    """The frame of a conversation whose turns have these roles, the question last.

    The prompt is the template's generation prompt. The completion is what the template makes of an assistant's turn
    after that, up to the first special token after the response (one of `marks`, captured), which ends it. Reasoning
    stands where the template has a place for it (`reasoning_content`: Qwen3), and else in `<think>` tags before the
    response: after a generation prompt that opens one (DeepSeek-R1), or in the assistant's text (Llama-3, Qwen2.5).
    Raises TrainingError where the template cannot be used.
    """
    turns = [{"role": role, "content": hole(str(place))} for place, role in enumerate(roles)]
    prompt = _render(tokenizer, turns, ask=True)
    if sorted(holes(prompt)) != sorted(str(place) for place in range(len(roles))):
        raise TrainingError(f"{_whose(tokenizer)} leaves out or doubles a turn of a conversation {' - '.join(roles)}")
    answer = {"role": "assistant", "content": hole(RESPONSE)}
    full = _render(
        tokenizer, [*turns, answer | ({"reasoning_content": hole(REASONING)} if reasoned else {})], ask=False
    )
    before, found, after = full.partition(hole(RESPONSE))
    if not found or not (before.startswith(prompt) or prompt.startswith(before)):
        raise TrainingError(f"{_whose(tokenizer)} renders an answer otherwise than its own generation prompt begins it")
    opened = prompt.rstrip().endswith(OPEN)
    opener = _opener(before[len(prompt) :], opened, reasoned)
    rest = _THOUGHT.sub("", (OPEN if opened else "") + opener)
    if rest.strip():
        raise TrainingError(f"{_whose(tokenizer)} puts {rest.strip()!r} before an answer, which cannot be read back")
    end = _end(tokenizer, marks, after)
    return Frame(prompt, opener + hole(RESPONSE) + end, end)


def _opener(template: str, opened: bool, reasoned: bool) -> str:
    """What stands between prompt and response; `template`: what the template itself puts there."""
    if hole(REASONING) in template or (opened and CLOSE in template):
        return template
    thought = hole(REASONING) if reasoned else ""
    if opened:
        return f"{template}{thought}\n{CLOSE}\n\n"
    return template + (f"{OPEN}\n{thought}\n{CLOSE}\n\n" if reasoned else "")


def _end(tokenizer: PreTrainedTokenizerBase, marks: re.Pattern[str] | None, after: str) -> str:
    """What ends an answer, of the text that the template puts after it."""
    found = marks.search(after) if marks is not None else None
    if found is None:
        raise TrainingError(
            f"{_whose(tokenizer)} ends an answer with no token of its own, and a student of it would never learn to "
            "stop: use format: alpaca or think"
        )
    return after[: found.end(1)]


def _render(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], ask: bool) -> str:
    """The template's text, from transformers' sandbox. ask: with the generation prompt."""
    if tokenizer.chat_template is None:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template: use format: alpaca or think"
        )
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=ask, strftime_now=TODAY.strftime
        )
    except Exception as error:  # a template is somebody's program: it may raise anything
        first = str(error).strip().split("\n")[0]
        hint = " (it may take no system message: leave out instruction)" if turns[0]["role"] == "system" else ""
        raise TrainingError(f"{_whose(tokenizer)} cannot be used: {type(error).__name__}: {first}{hint}") from None
    return str(text)


def _whose(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"the chat template of {tokenizer.name_or_path}"

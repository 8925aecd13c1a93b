"""Frames: a row's text with holes where its contents go, in two of the formats (the third is in rendering_chat.py).

Contents never pass through a template. A frame is made once for each shape of conversation, with holes; contents are
put in afterwards. So no template can trim or erase them, and it stays known which characters are ours (markup, where
`<|eot_id|>` is a control token) and which are somebody else's words (where it is nine characters of text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

REASONING, RESPONSE = "reasoning", "response"
OPEN, CLOSE = "<think>", "</think>"

_HOLE = re.compile("\ue000([a-z0-9]+)\ue001")
"""Private-use characters: nothing that a template would trim or look for."""
_TAG = re.compile(r"<(\\*)(/?think>)")
_HIDDEN = re.compile(r"<\\(\\*)(/?think>)")


class Piece(NamedTuple):
    """Part of a text. ours: markup, whose special tokens are meant as such."""

    text: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """A text with holes: turns by their number in the prompt, reasoning and response in the completion.

    end: text of the token that ends the answer; the completion ends with it.
    """

    prompt: str
    completion: str
    end: str

    @property
    def opened(self) -> bool:
        """Whether the prompt already says `<think>`, so that what is generated begins with the reasoning."""
        return self.prompt.rstrip().endswith(OPEN)

    @property
    def bare(self) -> bool:
        """Whether the response is all that is generated, with no tags before it."""
        return not self.opened and self.completion.startswith(hole(RESPONSE))


def hole(name: str) -> str:
    """What stands in a frame for the content `name`."""
    return f"\ue000{name}\ue001"


def holes(text: str) -> list[str]:
    """Names of the holes of a text, in order."""
    return _HOLE.findall(text)


def fill(text: str, contents: Mapping[str, str]) -> list[Piece]:
    """A frame's text as pieces, each hole filled with its content."""
    parts = _HOLE.split(text)  # literal text at even places, names at odd ones
    pieces = [Piece(contents[part] if place % 2 else part, place % 2 == 0) for place, part in enumerate(parts)]
    return [piece for piece in pieces if piece.text]


def hide_tags(text: str) -> str:
    r"""Reasoning with `</think>` written as `<\/think>`, so that the first one in a completion is ours. Lossless."""
    return _TAG.sub(r"<\\\1\2", text)


def show_tags(text: str) -> str:
    """Undo `hide_tags`."""
    return _HIDDEN.sub(r"<\1\2", text)


def hide_first(text: str) -> str:
    """`hide_tags` of a response with no tags before it: only where it begins with one would it be misread."""
    return hide_tags(text) if _TAG.match(text) else text


def show_first(text: str) -> str:
    """Undo `hide_first`."""
    return show_tags(text) if _HIDDEN.match(text) else text


def alpaca_frame(roles: tuple[str, ...], bos: str, eos: str) -> Frame | None:
    """The text of Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca): an instruction and an input, or an
    instruction alone; with the line end after `### Response:` that the published Llama-3 runs have. None where the
    conversation has more than one question.
    """
    if roles == ("system", "user"):
        head = (
            "Below is an instruction that describes a task, paired with an input that provides further context. "
            "Write a response that appropriately completes the request.\n\n"
            f"### Instruction:\n{hole('0')}\n\n### Input:\n{hole('1')}"
        )
    elif roles == ("user",):
        head = (
            "Below is an instruction that describes a task. "
            f"Write a response that appropriately completes the request.\n\n### Instruction:\n{hole('0')}"
        )
    else:
        return None
    return Frame(f"{bos}{head}\n\n### Response:\n", hole(RESPONSE) + eos, eos)


def think_frame(roles: tuple[str, ...], bos: str, eos: str) -> Frame | None:
    """A question that is thought about step by step. The prompt ends with `<think>` and a line end, as DeepSeek-R1's
    own template does: both are given, for training and for answering, and what is generated begins with the reasoning.
    A row without reasoning closes the tag at once. None where the conversation has more than one question.
    """
    if roles not in (("system", "user"), ("user",)):
        return None
    instruction = f"### Instruction:\n{hole('0')}\n\n" if len(roles) == 2 else ""
    head = "Below is a question. Think about it step by step first, then write a response that answers it."
    question = f"### Question:\n{hole(str(len(roles) - 1))}"
    prompt = f"{bos}{head}\n\n{instruction}{question}\n\n### Response:\n{OPEN}\n"
    return Frame(prompt, f"{hole(REASONING)}\n{CLOSE}\n{hole(RESPONSE)}{eos}", eos)

"""What a chat format writes around each turn, and the same as a Go template for Ollama.

Ollama does not read a model's Jinja template. What it needs is read off that template by rendering it: conversations
whose contents are marks, cut at the marks. A template that does not come down to text around turns is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finetune.rendering_chat import TODAY
from recipes.errors import TrainingError

THINK = "<think>\n"
_LAST = "(eq (len (slice $.Messages $i)) 1)"

Message = dict[str, str]
Around = tuple[str, str]
"""Text before a content and text after it."""


@dataclass(frozen=True)
class Turns:
    """The text around each content, with no BOS: llama.cpp puts that before every prompt by itself.

    bare: the start where there is no system message; system: None where the format has no place for one; ask: what
    follows the last question and not an earlier one, such as `<think>`.
    """

    user: Around
    assistant: Around
    system: Around | None = None
    bare: str = ""
    ask: str = ""

    def render(self, messages: Sequence[Message]) -> str:
        """A conversation that ends with a question, as the model was trained to read it, without BOS."""
        first = messages[0]
        if first["role"] == "system" and self.system is not None:
            text = first["content"].join(self.system)
        else:
            text = self.bare
        for message in messages:
            if message["role"] in ("user", "assistant"):
                text += message["content"].join(self.user if message["role"] == "user" else self.assistant)
        return text + self.ask


def question_turns(before: str, after: str, end: str, bos: str = "") -> Turns:
    """Turns of a format with literal text before and after one question (alpaca, think). end: text that ends an answer.

    bos: BOS as text, where the prompt begins with it; it is taken away from `before`.
    """
    asked = THINK if after.endswith(THINK) else ""
    return Turns((before.removeprefix(bos), after.removesuffix(asked)), ("", end), ask=asked)


def chat_turns(tokenizer: Any, bos: str = "") -> Turns:
    """Turns of a tokenizer's own chat template. bos: as above.

    Contents are put in as they are: a template that trims them (Llama-3's) does so for its own readers only.
    Raises TrainingError where the template is not text around turns.
    """

    def render(messages: Sequence[Message]) -> str:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, strftime_now=TODAY.strftime
        )
        return text.removeprefix(bos)

    try:
        found = _find_turns(render)
        same = all(found.render(one) == render(one) for one in _probes(found.system is not None))
    except Exception as error:
        raise TrainingError(f"the chat template cannot be rendered ({error}): it cannot be told to Ollama") from None
    if not same:
        raise TrainingError("the chat template is more than text around turns: it cannot be told to Ollama")
    return found


def _mark(number: int) -> str:
    return f"\ue000{number}\ue001"


def _conversation(*roles: str) -> list[Message]:
    return [{"role": role, "content": _mark(number)} for number, role in enumerate(roles)]


def _probes(system: bool) -> list[list[Message]]:
    long = ("user", "assistant", "user", "assistant", "user")
    return [_conversation("user"), _conversation(*long)] + ([_conversation("system", *long)] if system else [])


def _cut(text: str, count: int) -> list[str]:
    """The pieces around `count` marks, which must stand in order. Raises ValueError."""
    parts = re.split("\ue000(\\d+)\ue001", text)
    if parts[1::2] != [str(number) for number in range(count)]:
        raise ValueError("it leaves out, doubles or moves a turn")
    return parts[0::2]


def _find_turns(render: Callable[[Sequence[Message]], str]) -> Turns:
    start, end = _cut(render(_conversation("user")), 1)
    _, answered, again, _ = _cut(render(_conversation("user", "assistant", "user")), 3)
    system: list[str] | None
    try:
        system = _cut(render(_conversation("system", "user")), 2)
    except Exception:  # a template may refuse a system message with any error, or merge it into the question
        system = None
    after = _shared([end, answered])
    starts = [start, again, *([system[1]] if system else [])]
    before = _shared([one[::-1] for one in starts])[::-1]
    turns = Turns(
        user=(before, after),
        assistant=(answered.removeprefix(after), again.removesuffix(before)),
        bare=start.removesuffix(before), ask=end.removeprefix(after),
    )  # fmt: skip
    return replace(turns, system=(system[0], system[1].removesuffix(before))) if system else turns


def _shared(texts: Sequence[str]) -> str:
    """What all the texts begin with."""
    first, last = min(texts), max(texts)
    same = next((place for place, one in enumerate(first) if last[place] != one), len(first))
    return first[:same]


def go_template(turns: Turns) -> str:
    """The turns in the template language of Ollama (Go's text/template over .System and .Messages).

    Where the last question is followed by `<think>`, Ollama is also shown how reasoning is written, by which it knows
    to hand it over apart from the answer. A last message of the assistant is left open, to be gone on with.
    """
    start = escape(turns.bare)
    if turns.system is not None:
        before, after = map(escape, turns.system)
        start = f"{{{{ if .System }}}}{before}{{{{ .System }}}}{after}{{{{ else }}}}{start}{{{{ end }}}}"
    thought = ""
    if turns.ask.endswith(THINK):
        thought = f"{{{{ if and .Thinking {_LAST} }}}}{THINK}{{{{ .Thinking }}}}\n</think>\n{{{{ end }}}}"
    user = f"{escape(turns.user[0])}{{{{ .Content }}}}{escape(turns.user[1])}"
    left, right = map(escape, turns.assistant)
    assistant = f"{left}{thought}{{{{ .Content }}}}{{{{ if not {_LAST} }}}}{right}{{{{ end }}}}"
    ask = f'{{{{ if and {_LAST} (ne .Role "assistant") }}}}{escape(turns.ask)}{{{{ end }}}}' if turns.ask else ""
    return (
        f'{start}{{{{ range $i, $_ := .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
        f'{{{{ else if eq .Role "assistant" }}}}{assistant}{{{{ end }}}}{ask}{{{{ end }}}}'
    )


def escape(text: str) -> str:
    """Literal text for a Go template inside a Modelfile: what either would read as its own goes into a Go string.

    Those are `{{`, three quotation marks in a row, and characters that the Modelfile's parser drops in silence: all
    that Go does not call printable, such as a no-break space.
    """
    parts: list[str] = []
    for part in re.split(r'(\{\{+|\{\Z|"""+)', text):
        if part.startswith(("{{", '"""')) or part == "{":
            parts.append(_quoted(part))
        else:
            parts += [one if one.isprintable() or one == "\n" else _quoted(one) for one in part]
    return "".join(parts)


def _quoted(text: str) -> str:
    inside = "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text).replace('"', '\\"')
    return f'{{{{ "{inside}" }}}}'

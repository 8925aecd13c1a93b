"""Prompt file -> messages.

A prompt file is YAML: version, system, examples (few-shot pairs), user, answer. Only `{name}` of a row's fields is
replaced, in `user`, in one pass: a tweet that says `{text}` stays as it is, and JSON braces are plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipes.chat import Message
from recipes.documents import KeyPath
from recipes.errors import RecipeError
from recipes.mistakes import shape_mistakes
from recipes.schema import Recipe
from recipes.yaml_files import read_document

SHIPPED = Path(__file__).parent / "prompts"
FIELDS: dict[str, tuple[str, ...]] = {"classify": ("text",)}
"""task -> what a prompt of this task may name; all of it must be named."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerFormat(_Part):
    """The form of the reply: one JSON object with these keys, or one word (the label, nothing else)."""

    kind: Literal["json", "word"]
    """json: one object, reason first; word: the label and nothing else."""
    label: str = "label"
    """JSON key of the label."""
    rationale: str | None = None
    """JSON key of the reason, where the prompt asks for one."""


class FewShot(_Part):
    """One example of a text and the reply it should get; a mapping is written as JSON."""

    text: str
    """Stands in the user message's place for {text}."""
    reply: str | dict[str, Any]
    """What the teacher should have answered."""


class PromptFile(_Part):
    """What the teacher is told: a YAML file beside the recipe, or a shipped one (recipes/prompts)."""

    version: int = Field(ge=1)
    """Raised by its author when the wording changes; the file's digest is what counts."""
    system: str = ""
    """The task; name every label in it."""
    examples: tuple[FewShot, ...] = ()
    """Few-shot pairs, each {text, reply}."""
    user: str = Field(min_length=1)
    """The message for one row; {text} is replaced."""
    answer: AnswerFormat
    """What the reply must look like."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A checked prompt.

    static: system message and few-shot pairs, the same for every row, so that a provider can cache them.
    pieces: the user message, literal text at even places and field names at odd ones.
    """

    version: int
    static: tuple[Message, ...]
    pieces: tuple[str, ...]
    answer: AnswerFormat

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the fields that the user message holds."""
        return frozenset(self.pieces[1::2])

    def render(self, fields: Mapping[str, str]) -> tuple[Message, ...]:
        """The messages for one row. `fields` must have every placeholder."""
        return (*self.static, Message("user", _fill(self.pieces, fields)))


def _fill(pieces: tuple[str, ...], fields: Mapping[str, str]) -> str:
    parts = list(pieces)
    parts[1::2] = [fields[name] for name in pieces[1::2]]
    return "".join(parts)


def prompt_path(recipe: Recipe) -> Path:
    """The file of the recipe's prompt: a shipped name, or a path (it has a slash or ends in .yaml)."""
    name = recipe.synthesis.prompt
    assert name is not None, "no teacher is asked"
    if is_prompt_file(name):
        return recipe.resolve(name)
    return SHIPPED / f"{name}.yaml"


def is_prompt_file(name: str) -> bool:
    """Whether `synthesis.prompt` names a file and not a shipped prompt."""
    return "/" in name or "\\" in name or name.endswith((".yaml", ".yml"))


def load_prompt(recipe: Recipe) -> Prompt:
    """Read and check the recipe's prompt. Raises RecipeError with all mistakes, each file:line."""
    return read_prompt(prompt_path(recipe), recipe.task, recipe.labels)


def read_prompt(path: Path, task: str, labels: tuple[str, ...]) -> Prompt:
    """The prompt in the file `path`, checked against the fields of `task` and the recipe's labels."""
    document = read_document(path)
    file, mistakes = shape_mistakes(document, PromptFile)
    if file is not None:
        mistakes += [document.mistake(where, message) for where, message in _faults(file, task, labels)]
    mistakes += document.mistakes
    if mistakes or file is None:
        raise RecipeError([str(mistake) for mistake in sorted(mistakes, key=lambda mistake: mistake.line)])
    return _prompt(file)


def _prompt(file: PromptFile) -> Prompt:
    pieces = tuple(_PLACEHOLDER.split(file.user))
    static = [Message("system", file.system)] if file.system else []
    for example in file.examples:
        static.append(Message("user", _fill(pieces, {"text": example.text})))
        static.append(Message("assistant", _reply_text(example)))
    return Prompt(file.version, tuple(static), pieces, file.answer)


def _reply_text(example: FewShot) -> str:
    return example.reply if isinstance(example.reply, str) else json.dumps(example.reply, ensure_ascii=False)


def _faults(file: PromptFile, task: str, labels: tuple[str, ...]) -> Iterator[tuple[KeyPath, str]]:
    known = FIELDS[task]
    shown = ", ".join(f"{{{name}}}" for name in known)
    named = _PLACEHOLDER.findall(file.user)
    for name in dict.fromkeys(named):
        if name not in known:
            yield ("user",), f"there is no field {{{name}}} in a row; a {task} prompt may name {shown}"
    for name in known:
        if name not in named:
            yield ("user",), f"{{{name}}} is missing: the teacher would never see the row's {name}"
    for name in dict.fromkeys(_PLACEHOLDER.findall(file.system)):
        yield (
            ("system",),
            f"{{{name}}} belongs in user: the system message is the same for every row",
        )
    if file.answer.kind == "word" and file.answer.rationale is not None:
        yield ("answer", "rationale"), "a one-word reply holds no reason: use kind: json"
    yield from _example_faults(file, labels)


def _example_faults(file: PromptFile, labels: tuple[str, ...]) -> Iterator[tuple[KeyPath, str]]:
    """A few-shot reply that we could not read ourselves would teach the teacher to answer wrongly."""
    from recipes.answers import parse_answer
    from recipes.chat import Reply

    for place, example in enumerate(file.examples):
        answer = parse_answer(Reply(_reply_text(example)), file.answer, labels)
        if answer.outcome != "clean":
            yield ("examples", place, "reply"), answer.problem or "it is not written exactly as the answer should be"

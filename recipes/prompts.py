"""Prompt file -> messages.

A prompt file is YAML: version, system, examples (few-shot pairs), user, answer. Only `{name}` of a row's fields is
replaced, in `user`, in one pass: a tweet that says `{text}` stays as it is, and JSON braces are plain text. The fields
are `text` for task: classify, and else those that the recipe's source.fields names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipes.chat import Message
from recipes.errors import RecipeError
from recipes.mistakes import shape_mistakes
from recipes.prompt_checks import PLACEHOLDER, prompt_faults
from recipes.schema import Recipe
from recipes.yaml_files import read_document

SHIPPED = Path(__file__).parent / "prompts"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerFormat(_Part):
    """The form of the reply: one JSON object with these keys, or one word (the label, nothing else)."""

    kind: Literal["json", "word", "reasoning", "analysis", "rewrite"]
    """json: one object, reason first; word: the label and nothing else; reasoning: one object with a question, the
    reasoning and the response (task: reasoning); analysis: one object with a list of opinions; rewrite: one object with
    the text that makes them explicit (both of task: understanding)."""
    label: str = "label"
    """JSON key of the label."""
    rationale: str | None = None
    """JSON key of the reason, where the prompt asks for one."""
    question: str = "Question"
    """JSON key of the question (kind: reasoning)."""
    reasoning: str = "Complex_CoT"
    """JSON key of the reasoning (kind: reasoning)."""
    response: str = "Response"
    """JSON key of the response (kind: reasoning)."""

    def key_names(self) -> tuple[str, ...]:
        """The keys of the object, in the order in which they are to be written."""
        if self.kind == "reasoning":
            return self.question, self.reasoning, self.response
        if self.kind in ("analysis", "rewrite"):
            return ("opinions",) if self.kind == "analysis" else ("rewrite",)
        return (self.label,) if self.rationale is None else (self.rationale, self.label)


class FewShot(_Part):
    """One example of a row and the reply it should get; a mapping is written as JSON."""

    text: str | None = None
    """Stands in the user message's place for {text} (tasks classify and understanding)."""
    fields: dict[str, str] | None = None
    """Field -> what stands in its place in the user message (all other tasks)."""
    reply: str | dict[str, Any]
    """What the teacher should have answered."""

    def values(self) -> dict[str, str]:
        """What stands in the placeholders."""
        return {**({} if self.text is None else {"text": self.text}), **(self.fields or {})}


class PromptFile(_Part):
    """What the teacher is told: a YAML file beside the recipe, or a shipped one (recipes/prompts)."""

    version: int = Field(ge=1)
    """Raised by its author when the wording changes; the file's digest is what counts."""
    system: str = ""
    """The task; name every label in it."""
    examples: tuple[FewShot, ...] = ()
    """Few-shot pairs, each {text, reply} or {fields, reply}."""
    user: str = Field(min_length=1)
    """The message for one row; {text}, or each {field} of source.fields, is replaced."""
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
    return _file_of(recipe, recipe.synthesis.prompt)


def prompt_paths(recipe: Recipe) -> list[Path]:
    """The files of all its prompts: of task: understanding the analysis and the rewrite."""
    both = recipe.task == "understanding"
    return [prompt_path(recipe)] + ([_file_of(recipe, recipe.synthesis.rewrite_prompt)] if both else [])


def _file_of(recipe: Recipe, name: str | None) -> Path:
    assert name is not None, "no teacher is asked"
    if is_prompt_file(name):
        return recipe.resolve(name)
    return SHIPPED / f"{name}.yaml"


def is_prompt_file(name: str) -> bool:
    """Whether `synthesis.prompt` names a file and not a shipped prompt."""
    return "/" in name or "\\" in name or name.endswith((".yaml", ".yml"))


def load_prompt(recipe: Recipe) -> Prompt:
    """Read and check the recipe's prompt. Raises RecipeError with all mistakes, each file:line."""
    return load_prompts(recipe)[0]


def load_prompts(recipe: Recipe) -> list[Prompt]:
    """All its prompts, likewise."""
    fields = tuple(recipe.source.fields or ())
    kinds = ("analysis", "rewrite") if recipe.task == "understanding" else (None,)
    paths = prompt_paths(recipe)
    return [
        read_prompt(path, recipe.task, recipe.labels, fields, kind) for path, kind in zip(paths, kinds, strict=True)
    ]


def read_prompt(
    path: Path, task: str, labels: tuple[str, ...], fields: tuple[str, ...] = (), kind: str | None = None
) -> Prompt:
    """The prompt in the file `path`, checked against the recipe's task, labels and source.fields.

    kind: which answer it must be about, where a task has two prompts (analysis or rewrite).
    """
    document = read_document(path)
    file, mistakes = shape_mistakes(document, PromptFile)
    if file is not None:
        known = ("text",) if task in ("classify", "understanding") else fields
        faults = prompt_faults(file, task, labels, known, kind)
        mistakes += [document.mistake(where, message) for where, message in faults]
    mistakes += document.mistakes
    if mistakes or file is None:
        raise RecipeError([str(mistake) for mistake in sorted(mistakes, key=lambda mistake: mistake.line)])
    return _prompt(file)


def _prompt(file: PromptFile) -> Prompt:
    pieces = tuple(PLACEHOLDER.split(file.user))
    static = [Message("system", file.system)] if file.system else []
    for example in file.examples:
        static.append(Message("user", _fill(pieces, example.values())))
        static.append(Message("assistant", reply_text(example)))
    return Prompt(file.version, tuple(static), pieces, file.answer)


def reply_text(example: FewShot) -> str:
    """The reply of a few-shot pair as the teacher sees it."""
    return example.reply if isinstance(example.reply, str) else json.dumps(example.reply, ensure_ascii=False)

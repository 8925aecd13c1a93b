"""What a prompt file must agree on: with the fields of the rows, with the task, and with its own examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.answers import parse_answer
from recipes.answers_reasoning import parse_reasoned
from recipes.chat import Reply
from recipes.documents import KeyPath
from recipes.mistakes import did_you_mean
from recipes.readings import parse_analysis, parse_rewrite

if TYPE_CHECKING:
    from recipes.prompts import FewShot, PromptFile

Found = Iterator[tuple[KeyPath, str]]

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KEYS_OF = {"json": {"label", "rationale"}, "reasoning": {"question", "reasoning", "response"}}
"""Kind of answer -> what may be said of it; of the others nothing."""
_KINDS_OF = {
    "classify": ("json", "word"),
    "judge": ("json", "word"),
    "reasoning": ("reasoning",),
    "understanding": ("analysis", "rewrite"),
}
_BY_TEXT = ("classify", "understanding")
"""Tasks whose prompts show the text of a row."""


def prompt_faults(
    file: PromptFile, task: str, labels: tuple[str, ...], known: tuple[str, ...], kind: str | None = None
) -> Found:
    """Every mistake as (path, message). `known`: the fields of a row, which `user` may name. kind: of the answer."""
    yield from _placeholders(file, task, known)
    wanted = _KINDS_OF.get(task, ()) if kind is None else (kind,)
    yield from _answer(file, task, wanted)
    for place, example in enumerate(file.examples):
        yield from _example(place, example, file, task, known)
        if file.answer.kind in wanted:
            yield from _reply(place, example, file, labels)


def _placeholders(file: PromptFile, task: str, known: tuple[str, ...]) -> Found:
    shown = ", ".join(f"{{{name}}}" for name in known)
    named = PLACEHOLDER.findall(file.user)
    for name in dict.fromkeys(named):
        if name not in known:
            yield ("user",), f"there is no field {{{name}}} in a row; a {task} prompt may name {shown or 'none'}"
    if task in _BY_TEXT and "text" not in named:
        yield ("user",), "{text} is missing: the teacher would never see the row's text"
    elif known and not set(known).intersection(named):
        yield ("user",), f"names no field of the row ({shown}): the teacher would answer every row alike"
    for name in dict.fromkeys(PLACEHOLDER.findall(file.system)):
        yield (
            ("system",),
            f"{{{name}}} belongs in user: the system message is the same for every row",
        )


def _answer(file: PromptFile, task: str, wanted: tuple[str, ...]) -> Found:
    form = file.answer
    if form.kind not in wanted:
        yield ("answer", "kind"), f"task: {task} reads answers of kind: {' or '.join(wanted)}"
        return
    if form.kind == "word" and form.rationale is not None:
        yield ("answer", "rationale"), "a one-word reply holds no reason: use kind: json"
    if form.kind in ("analysis", "rewrite"):
        for key in sorted(form.model_fields_set - {"kind"}):
            yield ("answer", key), f"has no place with kind: {form.kind}, whose keys are fixed"
        return
    for key in sorted(form.model_fields_set - {"kind"} - _KEYS_OF.get(form.kind, set()) - {"label", "rationale"}):
        yield ("answer", key), f"goes with kind: reasoning, not with kind: {form.kind}"
    if form.kind == "reasoning":
        for key in sorted(form.model_fields_set & {"label", "rationale"}):
            yield ("answer", key), "goes with kind: json; a reasoning answer has question, reasoning and response"
        folded = [re.sub(r"[\W_]", "", key).casefold() for key in form.key_names()]
        if len(set(folded)) < 3 or "" in folded:
            yield ("answer",), f"the three keys must differ by more than case: {', '.join(form.key_names())}"


def _example(place: int, example: FewShot, file: PromptFile, task: str, known: tuple[str, ...]) -> Found:
    """An example must fill every placeholder, and no other."""
    where = ("examples", place)
    if task in _BY_TEXT and (example.text is None or example.fields is not None):
        yield where, f"an example of task: {task} is {{text, reply}}"
        return
    if task not in _BY_TEXT and (example.fields is None or example.text is not None):
        yield where, f"an example of task: {task} is {{fields, reply}}, with a value for each field"
        return
    values = example.values()
    for name in values:
        if name not in known:
            yield (*where, "fields", name), f"there is no field {name} in a row; {did_you_mean(name, list(known))}"
    for name in dict.fromkeys(PLACEHOLDER.findall(file.user)):
        if name in known and name not in values:
            yield (*where, "fields"), f"{name} is missing: user names {{{name}}}"


def _reply(place: int, example: FewShot, file: PromptFile, labels: tuple[str, ...]) -> Found:
    """A few-shot reply that we could not read ourselves would teach the teacher to answer wrongly."""
    from recipes.prompts import reply_text

    reply = Reply(reply_text(example))
    if file.answer.kind == "reasoning":
        reasoned = parse_reasoned(reply, file.answer)
        outcome, problem = reasoned.outcome, reasoned.problem
    elif file.answer.kind in ("analysis", "rewrite"):
        parse = parse_analysis if file.answer.kind == "analysis" else parse_rewrite
        reading = parse(reply, example.text or "")
        outcome, problem = reading.outcome, reading.problem
    else:
        answer = parse_answer(reply, file.answer, labels)
        outcome, problem = answer.outcome, answer.problem
    if outcome != "clean":
        yield ("examples", place, "reply"), problem or "it is not written exactly as the answer should be"

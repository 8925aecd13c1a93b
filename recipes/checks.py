"""What a recipe's parts must agree on, with each other and with the files they name. No network, nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recipes import keys
from recipes.addresses import address_problem
from recipes.assistant import Assistant
from recipes.dataset_checks import dataset_mistakes
from recipes.documents import KeyPath
from recipes.errors import RecipeError
from recipes.evaluation import TUPLE_BASELINE_NAMES
from recipes.evaluation_checks import evaluation_mistakes
from recipes.local_teacher import LocalTeacher
from recipes.local_teacher_checks import local_mistakes
from recipes.mistakes import did_you_mean
from recipes.prompts import SHIPPED, is_prompt_file, read_prompt
from recipes.retrieval import Retrieval
from recipes.retrieval_checks import assistant_mistakes, retrieval_mistakes
from recipes.schema import BASELINES, Dataset, Evaluation, Filters, Recipe, Source, Synthesis, Teacher
from recipes.section import beside
from recipes.source_checks import source_mistakes
from recipes.student_checks import student_mistakes
from recipes.students import Student
from recipes.task_checks import section_mistakes, task_mistakes

Found = Iterator[tuple[KeyPath, str]]

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))})
"""Names that Windows keeps for itself, whatever the folder."""


@dataclass
class Parts:
    """The sections of a recipe that could be read; None where one could not."""

    folder: Path
    present: frozenset[str] = frozenset()
    """Names of the sections that stand in the recipe, read or not; a task of none is not there."""
    name: str = ""
    task: str | None = None
    labels: tuple[str, ...] | None = None
    source: Source | None = None
    teacher: Teacher | LocalTeacher | None = None
    synthesis: Synthesis | None = None
    students: dict[str, Student | None] = field(default_factory=dict)
    datasets: dict[str, Dataset | None] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    teacher_unread: bool = False
    """Whether there is a section `teacher` that could not be read."""
    local: bool = False
    """Whether the teacher is a model on this machine, or may be one: its section could not be read."""
    has_filters: bool = False
    """Whether there is a section `filters`."""
    filters: Filters | None = None
    retrieval: Retrieval | None = None
    assistant: Assistant | None = None


def parts_of(recipe: Recipe, folder: Path) -> Parts:
    """All the parts of a recipe whose shape is good."""
    return Parts(
        folder,
        frozenset(recipe.model_fields_set - ({"task"} if recipe.task == "none" else set())),
        recipe.name,
        recipe.task,
        recipe.labels,
        recipe.source if "source" in recipe.model_fields_set else None,
        recipe.teacher,
        recipe.synthesis,
        dict(recipe.students),
        dict(recipe.datasets),
        recipe.evaluation,
        local=isinstance(recipe.teacher, LocalTeacher),
        has_filters="filters" in recipe.model_fields_set,
        filters=recipe.filters,
        retrieval=recipe.retrieval,
        assistant=recipe.assistant,
    )


def file_mistakes(parts: Parts, elsewhere: list[str]) -> Found:
    """Every disagreement, as (path, message). Mistakes inside a prompt file go to `elsewhere`, with its own lines."""
    yield from section_mistakes(parts)
    yield from task_mistakes(parts)
    if parts.source is not None:
        yield from source_mistakes(parts.source, parts.folder, parts.labels or None, parts.task)
    yield from dataset_mistakes(parts)
    if parts.synthesis is not None:
        yield from _prompts(parts, parts.synthesis, elsewhere)
    if parts.teacher is not None:
        yield from _teacher(parts, parts.teacher)
    yield from _names(parts)
    for name, student in parts.students.items():
        if student is not None:
            yield from student_mistakes(parts, name, student)
    if parts.evaluation is not None:
        yield from evaluation_mistakes(parts, parts.evaluation, elsewhere)
    if parts.retrieval is not None:
        yield from retrieval_mistakes(parts, parts.retrieval)
    if parts.assistant is not None:
        yield from assistant_mistakes(parts, parts.assistant)


def _prompts(parts: Parts, synthesis: Synthesis, elsewhere: list[str]) -> Found:
    both = parts.task == "understanding"
    named = (("prompt", synthesis.prompt, "analysis"), ("rewrite_prompt", synthesis.rewrite_prompt, "rewrite"))
    for key, name, kind in named if both else named[:1]:
        if name is not None:
            yield from _prompt(parts, name, ("synthesis", key), kind if both else None, elsewhere)


def _prompt(parts: Parts, name: str, where: KeyPath, kind: str | None, elsewhere: list[str]) -> Found:
    path = beside(parts.folder, name) if is_prompt_file(name) else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        if is_prompt_file(name):
            yield where, f"there is no file {path}"
        else:
            shipped = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
            yield where, f"there is no shipped prompt {name}; {did_you_mean(name, shipped)} (or name a .yaml file)"
    elif parts.task in ("reasoning", "understanding") or (parts.task == "classify" and parts.labels):
        fields = tuple(parts.source.fields or ()) if parts.source is not None else ()
        if parts.task == "reasoning" and not fields:
            return
        try:
            read_prompt(path, parts.task, parts.labels or (), fields, kind)
        except RecipeError as error:
            elsewhere += error.mistakes


def _teacher(parts: Parts, teacher: Teacher | LocalTeacher) -> Found:
    if isinstance(teacher, LocalTeacher):
        yield from local_mistakes(parts, teacher)
        return
    if teacher.journal is not None and not beside(parts.folder, teacher.journal).is_file():
        yield ("teacher", "journal"), f"there is no file {beside(parts.folder, teacher.journal)}"
    if teacher.base_url is not None:
        problem = address_problem(teacher.base_url)
        if problem:
            yield ("teacher", "base_url"), problem
    if teacher.key_env is not None and keys.is_long_token(teacher.key_env):
        message = "must be the NAME of an environment variable; this looks like the key itself: take it out of the file"
        yield ("teacher", "key_env"), message
    if teacher.is_paid():
        if teacher.price is None:
            message = (
                "is missing: a paid teacher needs its price in USD per million tokens, "
                "as the provider lists it: {input: ..., output: ...}"
            )
            yield ("teacher", "price"), message
        if parts.synthesis is not None and parts.synthesis.budget_usd is None:
            message = "is missing: a paid teacher needs a cap on what this run may cost, in USD"
            yield ("synthesis", "budget_usd"), message
    elif (teacher.base_url or "").startswith("https:") and parts.synthesis and parts.synthesis.budget_usd is not None:
        message = "cannot be kept without teacher.price: name the price (USD per million tokens), or take the cap out"
        yield ("synthesis", "budget_usd"), message


def _names(parts: Parts) -> Found:
    if parts.name.lower() in _DEVICES:
        yield ("name",), f"Windows keeps the name {parts.name} for a device: choose another"
    for name in parts.students:
        if name in _DEVICES:
            yield ("students", name), f"Windows keeps the name {name} for a device: choose another"
        if name == "teacher" or name in (*BASELINES, *TUPLE_BASELINE_NAMES):
            yield ("students", name), f"{name} is what the report calls another model: choose another name"

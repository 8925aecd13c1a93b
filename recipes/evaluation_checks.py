"""A recipe's section `evaluation` against its other sections: who can be compared, by what, and judged by whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recipes import keys
from recipes.addresses import address_problem
from recipes.documents import KeyPath
from recipes.errors import RecipeError
from recipes.evaluation import (
    CLASSIFY_METRICS,
    GENERATIVE_METRICS,
    TUPLE_BASELINE_NAMES,
    TUPLE_METRICS,
    TUPLE_TASKS,
    Evaluation,
    Judge,
)
from recipes.judge_prompt import judge_prompt_path, read_judge_prompt
from recipes.mistakes import did_you_mean
from recipes.queries import queries_problem
from recipes.schema import BASELINES, TEACHERLESS
from recipes.section import beside
from recipes.students import CausalStudent, Student

if TYPE_CHECKING:
    from recipes.checks import Parts

Found = Iterator[tuple[KeyPath, str]]

BASE_OF = "base of "
"""`base of <student>`: a student's base before it was trained, as it is named in `evaluation.models` and the report."""


def evaluation_mistakes(parts: Parts, evaluation: Evaluation, elsewhere: list[str]) -> Found:
    """Every mistake of the section as (path, message). Those inside the judge's prompt file go to `elsewhere`."""
    yield from _retrieval(parts, evaluation)
    if parts.task == "none":
        yield from _alone(evaluation)
        return
    named = evaluation.models or ()
    for place, model in enumerate(named):
        problem = f"{model} stands twice" if model in named[:place] else _model(parts, model)
        if problem:
            yield ("evaluation", "models", place), problem
    yield from _metrics(parts, evaluation)
    if evaluation.judge is not None:
        if parts.task == "classify" or parts.task in TUPLE_TASKS:
            yield ("evaluation", "judge"), f"a judge compares generated answers: it does not go with task: {parts.task}"
        yield from _judge(parts.folder, evaluation.judge)
        yield from _judge_prompt(parts.folder, evaluation.judge, elsewhere)


def _alone(evaluation: Evaluation) -> Found:
    for key in ("models", "metrics", "judge"):
        if getattr(evaluation, key) is not None:
            yield ("evaluation", key), "has no place in a recipe of an assistant alone: it has no models to compare"


def reference_name(task: str) -> str:
    """What the report calls the responses that students learn from: the teacher's, or those of the source."""
    return "reference" if task in TEACHERLESS else "teacher"


def has_base(student: Student | None) -> bool:
    """Whether what a student was trained from can still be had apart: an adapter comes off, other training does not."""
    return student is None or (isinstance(student, CausalStudent) and student.lora is not None)


def _model(parts: Parts, model: str) -> str | None:
    """Why a name in `evaluation.models` is nobody to compare here, or None."""
    if parts.task is None or parts.task == "classify":
        return _classifying(parts, model)
    if parts.task in TUPLE_TASKS:
        teacher = ["teacher"] if parts.task == "understanding" else []
        known = [*teacher, *parts.students, *TUPLE_BASELINE_NAMES]
        return None if model in known else f"there is no model {model}; {did_you_mean(model, known)}"
    without = [f"{BASE_OF}{name}" for name, student in parts.students.items() if not has_base(student)]
    bases = [f"{BASE_OF}{name}" for name in parts.students if f"{BASE_OF}{name}" not in without]
    known = [reference_name(parts.task), *parts.students, *bases]
    if model in without:
        return "a student without an adapter (lora: null) has no base to compare with"
    return None if model in known else f"there is no model {model}; {did_you_mean(model, known)}"


def _classifying(parts: Parts, model: str) -> str | None:
    known = ["teacher", *parts.students, *BASELINES]
    if model not in known:
        return f"there is no model {model}; {did_you_mean(model, known)}"
    if model == "tfidf_gold" and parts.source is not None and parts.source.label is None:
        return "tfidf_gold learns from human labels: name their column in source.label"
    if model == "vader" and not _is_sentiment(parts.labels):
        return "vader knows the labels negative, neutral and positive only"
    return None


def _is_sentiment(labels: tuple[str, ...] | None) -> bool:
    return labels is None or sorted(label.casefold() for label in labels) == ["negative", "neutral", "positive"]


def _metrics(parts: Parts, evaluation: Evaluation) -> Found:
    if parts.task is None:
        return
    known = _known_metrics(parts.task)
    for place, metric in enumerate(evaluation.metrics or ()):
        if metric not in known:
            there = ", ".join(known)
            yield ("evaluation", "metrics", place), f"{metric} cannot be had for task: {parts.task}; there is {there}"


def _known_metrics(task: str | None) -> tuple[str, ...]:
    if task in TUPLE_TASKS:
        return TUPLE_METRICS
    return CLASSIFY_METRICS if task == "classify" else GENERATIVE_METRICS


def _retrieval(parts: Parts, evaluation: Evaluation) -> Found:
    where, how = ("evaluation", "retrieval"), evaluation.retrieval
    if "retrieval" in evaluation.model_fields_set and "retrieval" not in parts.present:
        yield where, "there is nothing to search: the recipe has no section retrieval"
    problem = None if how.path is None else queries_problem(beside(parts.folder, how.path))
    if problem is not None:
        yield (*where, "path"), problem


def _judge(folder: Path, judge: Judge) -> Found:
    where = ("evaluation", "judge")
    if judge.journal is not None and not beside(folder, judge.journal).is_file():
        yield (*where, "journal"), f"there is no file {beside(folder, judge.journal)}"
    problem = address_problem(judge.base_url) if judge.base_url is not None else None
    if problem:
        yield (*where, "base_url"), problem
    if judge.key_env is not None and keys.is_long_token(judge.key_env):
        message = "must be the NAME of an environment variable; this looks like the key itself: take it out of the file"
        yield (*where, "key_env"), message
    if judge.is_paid() and judge.price is None:
        message = "is missing: a paid judge needs its price in USD per million tokens: {input: ..., output: ...}"
        yield (*where, "price"), message
    if judge.is_paid() and judge.budget_usd is None:
        yield (*where, "budget_usd"), "is missing: a paid judge needs a cap on what judging may cost, in USD"


def _judge_prompt(folder: Path, judge: Judge, elsewhere: list[str]) -> Found:
    path = judge_prompt_path(judge, folder)
    if not path.is_file():
        yield ("evaluation", "judge", "prompt"), f"there is no file {path}"
        return
    try:
        read_judge_prompt(path)
    except RecipeError as error:
        elsewhere += error.mistakes

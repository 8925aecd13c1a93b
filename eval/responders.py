"""Who is compared where answers are generated: the teacher (or the source's own responses), the students, their bases.

A student is opened once per seed; its scores are means over the seeds, its tests those of the seed with the best
*validation* loss. `base of <student>` is the model that the student's adapter was trained on, without the adapter,
asked in the student's own format: what training has changed and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import orjson

from eval.generate import Responder, Speaker
from finetune.causal_record import CausalRecord
from recipes.errors import RecipeError
from recipes.evaluation_checks import BASE_OF, has_base, reference_name
from recipes.runs import RunFolder, digest, file_digest
from recipes.schema import Recipe
from recipes.stages import student_inputs
from recipes.students import CausalStudent

ANSWERS_VERSION = 1
"""Raised when rendering, decoding or reading back changes what answers come out; raise stages.REPORT_VERSION too."""


def roster(recipe: Recipe, run: RunFolder) -> list[str]:
    """Names to compare, in the order of the report: those of the recipe, or all that can be compared.

    Raises RecipeError for a name that is nobody's, and for a student of other questions.
    """
    known = [reference_name(recipe.task), *(name for one in comparable(recipe) for name in _with_base(recipe, one))]
    bases = bases_of(recipe, run)
    same = {f"{BASE_OF}{student}": base for student, base in bases.items()}
    named = recipe.evaluation.models
    if named is None:
        return list(dict.fromkeys(same.get(name, name) for name in known))
    mistakes = [f"evaluation.models: {_why_not(recipe, name)}" for name in named if name not in known]
    if mistakes:
        raise RecipeError(mistakes)
    return list(dict.fromkeys(same.get(name, name) for name in named))


def bases_of(recipe: Recipe, run: RunFolder) -> dict[str, str]:
    """Student -> the name of its base; students that would ask the same base in the same way share the first's."""
    students = [name for name in comparable(recipe) if has_base(recipe.causal(name))]
    asked = {name: digest(_base_inputs(recipe, run, name)) for name in students}
    first = {sha: name for name, sha in reversed(asked.items())}
    return {name: f"{BASE_OF}{first[sha]}" for name, sha in asked.items()}


def comparable(recipe: Recipe) -> list[str]:
    """Students that were trained on the questions of the test rows."""
    return [name for name in recipe.students if name not in elsewhere(recipe)]


def elsewhere(recipe: Recipe) -> list[str]:
    """Students that were trained on other questions than the test rows ask: a title, where the task is reasoning."""
    if recipe.task == "description":
        return []
    return [name for name in recipe.students if recipe.causal(name).rows == "description"]


def about(recipe: Recipe, name: str) -> str:
    """What a model is, in a few words."""
    if name == "teacher":
        return recipe.teacher.model
    if name == "reference":
        return "the responses of the source itself"
    if name.startswith(BASE_OF):
        return f"{recipe.students[name.removeprefix(BASE_OF)].base}, before training"
    student = recipe.causal(name)
    how = "all weights trained" if student.lora is None else f"LoRA of rank {student.lora.rank}"
    bits = " on 4 bits" if student.quantization == "nf4" else ""
    return f"{student.base}, {how}{bits}"


def responders(recipe: Recipe, run: RunFolder, record: CausalRecord) -> list[Responder]:
    """A trained student, once per seed."""
    name, student = record.name, recipe.causal(record.name)
    inputs = _inputs(recipe, name) | {
        f"students.{name} as trained": file_digest(run.student(name) / "student.json"),
    }
    return [
        Responder(name, "student", name, seed, student.answering, inputs, _opener(recipe, run, name, seed))
        for seed in record.seeds
    ]


def base_responder(recipe: Recipe, run: RunFolder, name: str, seed: int) -> Responder:
    """The base of student `name`; seed: which of the student's folders says what the base is."""
    inputs, opener = _base_inputs(recipe, run, name), _base_opener(recipe, run, name, seed)
    return Responder(f"{BASE_OF}{name}", "base", name, None, recipe.causal(name).answering, inputs, opener)


def _base_inputs(recipe: Recipe, run: RunFolder, name: str) -> dict[str, str]:
    start = student_inputs(recipe, name, run)
    inputs = _inputs(recipe, name) | {key: sha for key, sha in start.items() if key.startswith("base ")}
    inputs["base's precision"] = digest(_base_precision(recipe.causal(name)))
    inputs["base as loaded"] = digest(_base_loaded(run, name))
    other = recipe.base_student(name)
    if other is not None:
        inputs[f"students.{other} as trained"] = file_digest(run.student(other) / "student.json")
    return inputs


def _base_precision(student: CausalStudent) -> Literal["auto", "fp32"]:
    return "fp32" if student.precision == "fp32" else "auto"


def _base_loaded(run: RunFolder, name: str) -> list[Any]:
    """Which weights the best seed was trained on, by its base.json: `revision: main` is another commit a week later.

    Nothing of the adapter, so that students of one base still share its answers; empty before training.
    """
    best = _json(run.student(name) / "student.json").get("best_seed")
    base = _json(run.student(name, best) / "base.json") if isinstance(best, int) else {}
    return [base.get(key) for key in ("name", "revision", "print")]


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, which whoever opens the student says."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _with_base(recipe: Recipe, name: str) -> list[str]:
    return [name, f"{BASE_OF}{name}"] if has_base(recipe.causal(name)) else [name]


def _why_not(recipe: Recipe, name: str) -> str:
    student = name.removeprefix(BASE_OF)
    if student in elsewhere(recipe):
        return f"{name!r} answers other questions than those of the test rows (students.{student}.rows: description)"
    if student in recipe.students:
        return f"{name!r}: that student has no adapter, and so no base to compare with"
    return f"{name!r} is nobody to compare"


def _inputs(recipe: Recipe, name: str) -> dict[str, str]:
    """What a model's answers depend on beside its weights."""
    student = recipe.causal(name)
    fields = {"format", "instruction", "max_length", "quantization", "answering"}
    return {
        "format and answering": digest(student.model_dump(include=fields)),
        "tutelage's answering code": digest(ANSWERS_VERSION),
    }


def _opener(recipe: Recipe, run: RunFolder, name: str, seed: int) -> Callable[[], Speaker]:
    def open_seed() -> Speaker:
        from finetune.student import open_student

        return cast(Speaker, open_student(run, name, seed))

    return open_seed


def _base_opener(recipe: Recipe, run: RunFolder, name: str, seed: int) -> Callable[[], Speaker]:
    def open_base() -> Speaker:
        from finetune.adapters import load_base
        from finetune.answering import GenerativeStudent
        from finetune.hardware import find_machine

        student = recipe.causal(name)
        machine = find_machine(_base_precision(student))
        return GenerativeStudent(*load_base(run.student(name, seed), machine), student)

    return open_base

"""Recipe file -> Recipe, with every mistake at once: `file:line: path: message`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recipes import keys
from recipes.assistant import Assistant
from recipes.checks import Parts, file_mistakes, parts_of
from recipes.documents import AFTER_FILE, Document, KeyPath, Mistake
from recipes.errors import RecipeError
from recipes.local_teacher import LOCAL, LocalTeacher
from recipes.mistakes import SECRET_KEYS, related, shape_mistakes
from recipes.retrieval import Retrieval
from recipes.schema import PROVIDERS, Dataset, Evaluation, Filters, Recipe, Source, Synthesis, Teacher
from recipes.seq2seq_student import Seq2seqStudent
from recipes.students import CausalStudent, ClassifierStudent, Student
from recipes.yaml_files import parse_document, read_document

SectionType = TypeVar("SectionType", bound=BaseModel)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check it whole, the files it names too. `overrides` are `key.path=value` arguments of --set.

    Raises RecipeError with all mistakes. Nothing is downloaded, sent or written.
    """
    path = Path(path)
    document = read_document(path)
    mistakes = _secrets(document)
    for argument in overrides:
        _override(document, argument)
    recipe, shape = shape_mistakes(document, Recipe)
    mistakes += shape + document.mistakes
    folder = path.resolve().parent
    parts = _parts(document, folder, mistakes) if recipe is None else parts_of(recipe, folder)
    known = {mistake.path for mistake in mistakes if mistake.path}
    elsewhere: list[str] = []
    sections = document.value is None or isinstance(document.value, dict)
    for where, message in file_mistakes(parts, elsewhere) if sections else ():
        if not related(where, known):
            mistakes.append(document.mistake(where, message))
    if mistakes or elsewhere or recipe is None:
        shown = [str(mistake) for mistake in sorted(mistakes, key=lambda mistake: mistake.line)]
        raise RecipeError([keys.redact(line) for line in dict.fromkeys(shown + elsewhere)])
    recipe._folder = parts.folder
    keys.look_in(parts.folder)
    return recipe


def _secrets(document: Document) -> list[Mistake]:
    """Lines (comments too) that hold what looks like an API key."""
    message = "this looks like an API key: take it out of the file, and name its environment variable in key_env"
    return [
        Mistake(f"{document.name}:{line}", (), message, line)
        for line, text in enumerate(document.text.split("\n"), 1)
        if keys.looks_like_key(text)
    ]


def _override(document: Document, argument: str) -> None:
    """Apply one `a.b.c=value`; the value is YAML."""
    dotted, equals, text = argument.partition("=")
    path: KeyPath = tuple(part.strip() for part in dotted.split("."))
    shown = f"{dotted}=…" if str(path[-1]).lower() in SECRET_KEYS else argument
    if not equals or not all(path):
        document.mistakes.append(Mistake(f"--set {shown}", (), "write it as key.path=value", AFTER_FILE))
        return
    try:
        part = parse_document(text, "value")
    except RecipeError as error:
        message = f"the value is not YAML: {error.mistakes[0].partition(': ')[2]}"
        document.mistakes.append(Mistake(f"--set {shown}", (), message, AFTER_FILE))
        return
    if keys.looks_like_key(text):
        message = "this looks like an API key: set it in the environment, never in a recipe or on a command line"
        document.mistakes.append(Mistake(f"--set {dotted}=…", (), message, AFTER_FILE))
    document.override(shown, path, part)


def _parts(document: Document, folder: Path, mistakes: list[Mistake]) -> Parts:
    """The sections that can be read although others cannot, so that their files are checked all the same."""
    value = _mended(document.value, mistakes)
    missing = {mistake.path for mistake in mistakes if mistake.kind != "extra_forbidden"}

    def section(model: type[SectionType], *path: str) -> SectionType | None:
        inner: Any = value
        for part in path:
            inner = inner.get(part) if isinstance(inner, dict) else None
        try:
            return model.model_validate(inner)
        except ValidationError as error:
            mistakes.extend(  # rules between keys, which an unknown key had kept from being looked at
                document.mistake(path, str(details["ctx"]["error"]))
                for details in error.errors()
                if details["type"] == "value_error" and not details["loc"] and not related(path, missing)
            )
            return None

    def student(name: str) -> Student | None:
        inner = students.get(name) if isinstance(students, dict) else None
        kind = inner.get("kind") if isinstance(inner, dict) else None
        if kind == "seq2seq":
            return section(Seq2seqStudent, "students", name)
        if kind == "causal":
            return section(CausalStudent, "students", name)
        return section(ClassifierStudent, "students", name)

    def dataset(name: str) -> Dataset | None:
        return section(Dataset, "datasets", name)

    students, datasets = value.get("students"), value.get("datasets")
    labels = value.get("labels")
    good = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    provider = _provider(document)
    local = provider is not None and provider not in PROVIDERS
    teacher: Teacher | LocalTeacher | None = None
    if "teacher" in value:
        teacher = section(LocalTeacher, "teacher") if provider in LOCAL else section(Teacher, "teacher")
    return Parts(
        folder=folder,
        present=_present(document, value),
        name=str(value.get("name", "")),
        task=value.get("task") if isinstance(value.get("task"), str) else None,
        labels=tuple(labels or ()) if good or "labels" not in value else None,
        source=section(Source, "source") if "source" in value else None,
        teacher=teacher,
        teacher_unread="teacher" in value and teacher is None,
        local=local,
        has_filters="filters" in value,
        filters=section(Filters, "filters") if "filters" in value else Filters(),
        synthesis=section(Synthesis, "synthesis") if "synthesis" in value else Synthesis(),
        students={name: student(name) for name in students} if isinstance(students, dict) else {},
        datasets={name: dataset(name) for name in datasets} if isinstance(datasets, dict) else {},
        evaluation=section(Evaluation, "evaluation") if "evaluation" in value else Evaluation(),
        retrieval=section(Retrieval, "retrieval") if value.get("retrieval") is not None else None,
        assistant=section(Assistant, "assistant") if value.get("assistant") is not None else None,
    )


def _provider(document: Document) -> str | None:
    """What the section teacher says of its provider, whether there is one of that name or not; None without one."""
    teacher = document.value.get("teacher") if isinstance(document.value, dict) else None
    return str(teacher.get("provider", "")) if isinstance(teacher, dict) else None


def _present(document: Document, mended: dict[str, Any]) -> frozenset[str]:
    """The sections that stand in the file, also those that cannot be read or are misspelt."""
    written = document.value if isinstance(document.value, dict) else {}
    named = mended | written
    return frozenset(name for name in named if named[name] is not None and (name, named[name]) != ("task", "none"))


def _mended(value: Any, mistakes: list[Mistake]) -> dict[str, Any]:
    """The recipe's values without the mistaken ones; an unknown key that is like a missing one takes its place."""
    mended = copy.deepcopy(value) if isinstance(value, dict) else {}
    for mistake in mistakes:
        section: Any = mended
        for part in mistake.path[:-1]:
            section = section[part] if isinstance(section, dict) and part in section else None
        if not isinstance(section, dict) or not mistake.path:
            continue
        wrong = section.pop(mistake.path[-1], None)
        if mistake.meant and wrong is not None:
            section.setdefault(mistake.meant, wrong)
    return mended

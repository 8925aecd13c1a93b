"""What pydantic finds wrong with a document, as sentences a user can act on, each at its line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recipes.documents import Document, KeyPath, Mistake, trap

ModelType = TypeVar("ModelType", bound=BaseModel)

SECRET_KEYS = frozenset({"key_env", "base_url", "api_key", "key", "token", "password"})
"""Fields whose value is never repeated in a message: somebody may have put a key there."""

_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a section of `key: value` lines",
    "model": "a section of `key: value` lines",
}


def shape_mistakes(document: Document, model: type[ModelType]) -> tuple[ModelType | None, list[Mistake]]:
    """`document` as a `model`, or None; and everything that is wrong with it."""
    mistakes = [document.mistake(path, message) for path, message in _false_numbers(document, model)]
    try:
        return model.model_validate(document.value if document.value is not None else {}), mistakes
    except ValidationError as error:
        found = [_mistake(document, model, details) for details in error.errors(include_url=False)]
    spoken = {mistake.path for mistake in mistakes}
    return None, mistakes + [mistake for mistake in found if mistake.path not in spoken]


def related(path: KeyPath, others: set[KeyPath]) -> bool:
    """Whether `path` is one of `others`, inside one of them or around one of them."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in others)


def did_you_mean(word: str, known: list[str]) -> str:
    """` did you mean x?`, or what there is."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold(): name for name in known}
        near = [folded[word.casefold()]] if word.casefold() in folded else []
    return f"did you mean {near[0]}?" if near else f"there is: {', '.join(known)}" if known else "there is none"


def _false_numbers(document: Document, model: type[BaseModel]) -> list[tuple[KeyPath, str]]:
    """`yes`, `no`, `on` where a number or a list is wanted: pydantic would take them as 1 and 0."""
    found = []
    for path, value in _leaves(document.value, ()):
        if isinstance(value, bool) and bool not in _allowed(model, path):
            written = document.written.get(path, str(value).lower())
            wants_text = str in _allowed(model, path)
            found.append((path, trap(written, value) if wants_text else f"{_wanted(model, path)}, got {written}"))
    return found


def _wanted(model: type[BaseModel], path: KeyPath) -> str:
    allowed = _allowed(model, path)
    names = [text for kind, text in ((int, "must be a whole number"), (float, "must be a number")) if kind in allowed]
    return names[-1] if names else "cannot be true or false"


def _leaves(value: Any, path: KeyPath) -> list[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for place, inner in enumerate(value) for leaf in _leaves(inner, (*path, place))]
    return [(path, value)]


def _annotations(annotation: Any) -> list[Any]:
    """An annotation and all that stands inside it: `tuple[str, ...] | None` -> itself, tuple, str, None."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _annotations(part))]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [part for part in _annotations(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]


def _field(model: type[BaseModel], path: KeyPath) -> Any:
    """The annotation at `path`, as far as the schema knows it."""
    annotation: Any = model
    for part in path:
        sections = _models(annotation)
        known = [section.model_fields[part].annotation for section in sections if part in section.model_fields]
        if known:
            annotation = known[0]
        elif not any(isinstance(part, int) or dict in _annotations_origin(annotation) for _ in (0,)):
            return None
    return annotation


def _annotations_origin(annotation: Any) -> list[Any]:
    from typing import get_origin

    return [get_origin(part) for part in _annotations(annotation)]


def _allowed(model: type[BaseModel], path: KeyPath) -> list[Any]:
    annotation = _field(model, path)
    if annotation is None or _models(annotation):
        return [bool] if annotation is None else []  # an unknown key is told of as such, and no more
    parts = _annotations(annotation)
    return [*parts, *(type(part) for part in parts if isinstance(part, str))]


def _mistake(document: Document, model: type[BaseModel], details: ErrorDetails) -> Mistake:
    path, is_key = _path(document, details)
    return document.mistake(path, _sentence(document, model, details, path, is_key))


def _path(document: Document, details: ErrorDetails) -> tuple[KeyPath, bool]:
    """Where the error is in the file, and whether it is a key; pydantic adds `[key]` and names of union members."""
    location = details["loc"]
    is_key = "[key]" in location
    path: KeyPath = ()
    for place, part in enumerate(location):
        last = place == len(location) - 1
        if part == "[key]":
            continue
        if (
            (*path, part) in document.lines
            or (*path, part) in document.overrides
            or last
            or _value_at(document.value, (*path, part)) is not None
        ):
            path = (*path, part)
    return path, is_key


def _value_at(value: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _sentence(document: Document, model: type[BaseModel], details: ErrorDetails, path: KeyPath, is_key: bool) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    written = document.written.get(path)
    secret = bool(path) and path[-1] in SECRET_KEYS
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown(model, path)
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        if path[-1] == "key_env":
            return "must be the NAME of an environment variable, such as OPENAI_API_KEY, never the key itself"
        return f"a name has lower-case letters, digits, - and _ only (it becomes a folder), got '{value}'"
    if kind == "string_type" and isinstance(value, bool | int | float | type(None)):
        return trap(written if written is not None else str(value), value)
    if value is None:
        return "has no value: write one after the colon"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:g}, got {_shown(value, written, secret)}"
    if kind == "literal_error":
        return _choice(context, value, written)
    if kind in ("too_short", "string_too_short"):
        return _too_short(kind, context)
    wanted = _WANTED.get(kind.split("_")[0])
    if wanted is not None:
        return f"must be {wanted}, got {_shown(value, written, secret)}"
    return details["msg"].replace("Input should", "it should", 1)


def _choice(context: dict[str, Any], value: Any, written: str | None) -> str:
    choices = [part.strip("' ") for part in context["expected"].replace(" or ", ", ").split(", ")]
    near = get_close_matches(str(value), choices, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near and len(choices) > 1 else ""
    return f"must be {' or '.join([', '.join(choices[:-1]), choices[-1]] if choices[1:] else choices)}, got {_shown(value, written, False)}{hint}"


def _too_short(kind: str, context: dict[str, Any]) -> str:
    if kind == "string_too_short":
        return "must not be empty"
    least = context["min_length"]
    return f"must have at least {least} {'entry' if least == 1 else 'entries'}, has {context['actual_length']}"


def _unknown(model: type[BaseModel], path: KeyPath) -> str:
    """An unknown key: the nearest known one beside it, or the section that has a key of this name."""
    section = _models(_field(model, path[:-1]))
    known = list(section[0].model_fields) if section else []
    word = str(path[-1])
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    elsewhere = [where for where in _all_keys(model, "") if where.rpartition(".")[2] == word]
    if elsewhere:
        return f"unknown key; did you mean {elsewhere[0]}?"
    return f"unknown key; known here: {', '.join(known)}"


def _all_keys(model: type[BaseModel], prefix: str) -> list[str]:
    """Every key of the schema as a dotted path; a name the user chooses is written <name>."""
    found = []
    for name, info in model.model_fields.items():
        found.append(prefix + name)
        named = f"{prefix}{name}.<name>." if dict in _annotations_origin(info.annotation) else f"{prefix}{name}."
        for section in _models(info.annotation):
            found += _all_keys(section, named)
    return found


def _shown(value: Any, written: str | None, secret: bool) -> str:
    """A value as the user wrote it, short; sections and lists by kind; what may be a key, not at all."""
    if secret:
        return "something else"
    if isinstance(value, dict | list | tuple):
        return "a section" if isinstance(value, dict) else "a list"
    text = written if written is not None else str(value)
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'" if isinstance(value, str) else text

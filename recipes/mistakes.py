"""What pydantic finds wrong with a document, as sentences that a user can act on, each at its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recipes.documents import Document, KeyPath, Mistake
from recipes.schema_walk import inner_key, keys_at, members_with, nearest, nearest_key, options_at
from recipes.yaml_files import trap

ModelType = TypeVar("ModelType", bound=BaseModel)

SECRET_KEYS = frozenset({"key_env", "base_url", "api_key", "apikey", "key", "token", "secret", "password"})
"""Keys whose value is never repeated in a message: somebody may have put an API key there."""

_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_SECTION = "a section of `key: value` lines"
_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "dict": _SECTION,
    "model": _SECTION,
}


def shape_mistakes(document: Document, model: type[ModelType]) -> tuple[ModelType | None, list[Mistake]]:
    """`document` as a `model`, or None; and everything that is wrong with its shape."""
    mistakes = _false_numbers(document, model)
    try:
        found = model.model_validate({} if document.value is None else document.value)
        return (None if mistakes else found), mistakes
    except ValidationError as error:
        spoken = {mistake.path for mistake in mistakes}
        others = [_mistake(document, model, details) for details in error.errors(include_url=False)]
    mistakes += [mistake for mistake in others if mistake.path not in spoken]
    meant = {(*mistake.path[:-1], mistake.meant) for mistake in mistakes}
    inner = {mistake.path[:-1] for mistake in mistakes + document.mistakes}
    return None, [
        mistake
        for mistake in mistakes
        if not (mistake.kind == "missing" and mistake.path in meant)
        and not (mistake.kind == "too_short" and mistake.path in inner)
    ]


def related(path: KeyPath, others: set[KeyPath]) -> bool:
    """Whether `path` is one of `others`, inside one of them or around one of them."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in others)


def did_you_mean(word: str, known: list[str]) -> str:
    """`did you mean x?`, or what there is."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"there is {', '.join(known) or 'none'}"


def _false_numbers(document: Document, model: type[BaseModel]) -> list[Mistake]:
    """`yes`, `no`, `on` where a number is wanted: pydantic would take them as 1 and 0."""
    mistakes = []
    for path, value in _leaves(document.value, ()):
        options = options_at(model, path, document.value) if isinstance(value, bool) else []
        if (int in options or float in options) and bool not in options:
            wanted = "a number" if float in options else "a whole number"
            mistakes.append(document.mistake(path, f"must be {wanted}, got {document.written.get(path, value)}"))
    return mistakes


def _leaves(value: Any, path: KeyPath) -> list[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for place, inner in enumerate(value) for leaf in _leaves(inner, (*path, place))]
    return [(path, value)]


def _mistake(document: Document, model: type[BaseModel], details: ErrorDetails) -> Mistake:
    path = _path(document.value, details)
    kind = details["type"]
    if kind == "extra_forbidden":
        mistake = document.mistake(path, _unknown(document, model, path))
        near = nearest_key(model, path, document.value) or ""
        mistake.meant = near if near in keys_at(model, path[:-1], document.value) else ""
    else:
        if kind.startswith("union_tag"):
            path = (*path, details["ctx"]["discriminator"].strip("'"))
        mistake = document.mistake(path, _sentence(document, details, path))
    mistake.kind = kind
    return mistake


def _path(value: Any, details: ErrorDetails) -> KeyPath:
    """Where the error is in the file: pydantic adds `[key]` for a key, and the names of union members."""
    path: KeyPath = ()
    parts = [part for part in details["loc"] if part != "[key]"]
    for place, part in enumerate(parts):
        inside = (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int))
        if inside:
            value = value[part]
        if inside or (place == len(parts) - 1 and details["type"] == "missing"):
            path = (*path, part)
    return path


def _unknown(document: Document, model: type[BaseModel], path: KeyPath) -> str:
    telling, names = members_with(model, path)
    if names and not inner_key(model, path, document.value):
        return _elsewhere(document, path, telling, names)
    if str(path[-1]).lower() in SECRET_KEYS:
        return "an API key never stands in a recipe: set the environment variable and, if need be, name it with key_env"
    near = nearest_key(model, path, document.value)
    known = ", ".join(keys_at(model, path[:-1], document.value))
    return f"unknown key; did you mean {near}?" if near else f"unknown key; known here: {known}"


def _elsewhere(document: Document, path: KeyPath, telling: str, names: list[str]) -> str:
    """A key that other members of the union know."""
    if telling == "provider" and len(names) > 2:
        said = document.written.get((*path[:-1], telling))
        return f"has no place with provider: {said}: the model runs on this machine, and no API is asked"
    return f"goes with {telling}: {' or '.join(names)}, which this is not"


def _sentence(document: Document, details: ErrorDetails, path: KeyPath) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "union_tag_not_found":
        return _no_kind(document, path) if path[-1] == "kind" else "is missing"
    if kind == "union_tag_invalid":
        return _wrong_tag(context, value.get(path[-1]), document.written.get(path))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch" and path[-1] == "key_env":
        return "must be the NAME of an environment variable, such as OPENAI_API_KEY, never the key itself"
    written = document.written.get(path)
    got = f", got {_shown(value, written, bool(path) and path[-1] in SECRET_KEYS)}"
    if kind == "string_pattern_mismatch" and path[-1] == "language":
        return f"must be two letters, such as en (ISO 639-1){got}"
    if kind == "string_pattern_mismatch" and "fields" in path:
        return f"a field has lower-case letters, digits and _ only (it stands in prompts as {{name}}), got '{path[-1]}'"
    if kind == "string_pattern_mismatch":
        return f"a name has lower-case letters, digits, - and _ only (it becomes a folder){got}"
    if value is None:
        return trap(written, None) if written else "has no value: write one after the colon"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return trap(written if written is not None else str(value), value)
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:.12g}{got}"
    if kind == "literal_error":
        return _choice(context["expected"], value, got)
    if kind in ("tuple_type", "list_type"):
        return f"must be a list, such as [{written}]" if written else f"must be a list{got}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "too_short":
        return f"must have at least {context['min_length']}, has {context['actual_length']}"
    wanted = _WANTED.get(kind.partition("_")[0])
    if wanted == _SECTION and path[-1:] == ("lora",) and type(value) is int:
        wanted += f", such as lora: {{rank: {value}}}"
    return f"must be {wanted}{got}" if wanted else details["msg"].replace("Input should", "it should", 1)


def _no_kind(document: Document, path: KeyPath) -> str:
    """Of a student that stands in no file but in --set alone, the name is more likely wrong than the kind forgotten."""
    said, name = "is missing: it is classifier or causal", str(path[1])
    written = [one for one in document.value["students"] if ("students", one) not in document.overrides]
    return said if name in written else f"{said}; the file has no student {name}: {did_you_mean(name, written)}"


def _wrong_tag(context: dict[str, Any], value: Any, written: str | None) -> str:
    """A kind or a provider that there is not."""
    if value is None:
        return "has no value: write one after the colon"
    head, _, last = context["expected_tags"].rpartition(", ")
    return _choice(f"{head} or {last}", value, f", got {_shown(value, written, secret=False)}")


def _choice(expected: str, value: Any, got: str) -> str:
    """A word that is none of those allowed; pydantic names them as `'a', 'b' or 'c'`."""
    choices = [part.strip("' ") for part in expected.replace(" or ", ", ").split(", ")]
    near = nearest(str(value), choices) if len(choices) > 1 else None
    hint = f"; did you mean {near}?" if near else ""
    return f"must be {expected.replace(chr(39), '')}{got}{hint}"


def _shown(value: Any, written: str | None, secret: bool) -> str:
    """A value as the user wrote it, short; sections and lists by kind; what may be a key, not at all."""
    if secret:
        return "something else"
    if isinstance(value, Mapping | list | tuple):
        return "a section" if isinstance(value, Mapping) else "a list"
    text = written if written is not None else str(value)
    text = text if len(text) <= 60 else text[:60] + "…"
    return f"'{text}'" if isinstance(value, str) else text

"""What the schema allows at a place of a recipe: the ground of did-you-mean and of YAML's false friends."""

from __future__ import annotations

import types
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from recipes.documents import KeyPath

TELLING = ("kind", "provider")
"""Keys that tell which member of a union a section is: a student's, and a teacher's."""
_TELLS = 4
"""Letters at the beginning of a word that tell which is meant."""


def options_at(model: type[BaseModel], path: KeyPath, document: Any = None) -> list[Any]:
    """The types that a value at `path` may have, members of unions apart; empty where the schema has no such place.

    Of a union of sections by `kind` (of teachers: by `provider`), only the member that `document` names, where it does.
    """
    options: list[Any] = [model]
    for part in path:
        inner = [annotation for option in options for annotation in _inside(option, part)]
        options = [member for annotation in inner for member in _members(annotation)]
        document = _part(document, part)
        said = document if isinstance(document, dict) else {}
        options = [option for option in options if _is_said(option, said)] or options
    return options


def _part(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    return value[part] if isinstance(value, list) and isinstance(part, int) and part < len(value) else None


def _is_said(option: Any, said: dict[str, Any]) -> bool:
    """Whether a section is the member of its union that the document names."""
    return _is_model(option) and any(said[key] in _choices(option, key) for key in TELLING if key in said)


def _choices(option: Any, key: str) -> tuple[Any, ...]:
    return get_args(_annotation(option, key)) if key in option.model_fields else ()


def _annotation(option: Any, name: str | int) -> Any:
    return option.model_fields[name].annotation


def keys_at(model: type[BaseModel], path: KeyPath, document: Any = None) -> list[str]:
    """The keys a section at `path` may have."""
    options = options_at(model, path, document)
    return list(dict.fromkeys(key for option in options if _is_model(option) for key in option.model_fields))


def members_with(model: type[BaseModel], path: KeyPath) -> tuple[str, list[str]]:
    """(kind or provider, its values) of the members of the union around `path` that know its last key; ("", []) where
    there is no union, or none of them does.
    """
    options = [option for option in options_at(model, path[:-1]) if _is_model(option)]
    shared = (key for key in TELLING if len(options) > 1 and all(key in option.model_fields for option in options))
    telling = next(shared, "")
    names = [name for option in options if path[-1] in option.model_fields for name in _choices(option, telling)]
    return (telling, names) if telling and names else ("", [])


def nearest_key(model: type[BaseModel], path: KeyPath, document: Any = None) -> str | None:
    """The key that an unknown one was meant to be: one beside it, or the dotted path of one of the same name."""
    word, beside = str(path[-1]), keys_at(model, path[:-1], document)
    return nearest(word, beside, 0.8) or inner_key(model, path, document) or _same(model, word) or nearest(word, beside)


def inner_key(model: type[BaseModel], path: KeyPath, document: Any = None) -> str | None:
    """The dotted path of a key of this name inside the section around it: `lora.rank` for a student's `rank`."""
    options = options_at(model, path[:-1], document)
    return next((key for option in options if _is_model(option) and (key := _same(option, str(path[-1])))), None)


def _same(model: type[BaseModel], word: str) -> str | None:
    return next((dotted for dotted in _all_keys(model, "") if dotted.rpartition(".")[2] == word), None)


def nearest(word: str, known: list[str], alike: float = 0.72) -> str | None:
    """The known word that is most like `word`, if any is at least so much alike (difflib's ratio: three letters of four
    in one order), else the one that it begins.
    """
    word, folded = word.casefold(), {name.casefold(): name for name in known}
    near = get_close_matches(word, list(folded), n=1, cutoff=alike)
    near = near or [name for name in folded if len(word) >= _TELLS and name.startswith(word)]
    return folded[near[0]] if len(near) == 1 else None


def _inside(option: Any, part: str | int) -> list[Any]:
    """Types of the entry `part` of a section, a mapping or a list."""
    origin, inner = get_origin(option), get_args(option)
    if origin is dict:
        return [inner[1]]
    if origin in (tuple, list) and isinstance(part, int):
        return [inner[0]]
    if _is_model(option) and part in option.model_fields:
        return [_annotation(option, part)]
    return []


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _all_keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Every key of the schema as a dotted path; a name the user chooses is written <name>."""
    for name, info in model.model_fields.items():
        yield prefix + name
        for member in _members(info.annotation):
            if _is_model(member):
                yield from _all_keys(member, f"{prefix}{name}.")
            elif get_origin(member) is dict:
                for inner in _members(get_args(member)[1]):
                    if _is_model(inner):
                        yield from _all_keys(inner, f"{prefix}{name}.<name>.")

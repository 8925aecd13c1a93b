"""A student's settings as a line of its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def settings(values: Mapping[str, Any]) -> str:
    """Each setting by its key in the recipe; those that are not set are left out."""
    return ", ".join(f"`{name}`: {_shown(value)}" for name, value in values.items() if value not in (None, [], ()))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {_shown(one)}' for name, one in value.items() if one is not None)})"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_shown(one) for one in value)})"
    return str(value)

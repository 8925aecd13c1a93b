"""Shared ground of all sections of a recipe."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""Names become folders: lower-case letters, digits, - and _."""

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""Names of fields stand in prompts as {name}."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy, torch and transformers all take."""


_HUB_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?"


def repository(value: str | None) -> str | None:
    """A name that the Hub takes (huggingface_hub's own rule), with its owner."""
    if value is None:
        return None
    strange = any(part in value for part in ("--", "..")) or value.endswith(".git") or len(value) > 96
    if strange or not re.fullmatch(f"{_HUB_NAME}/{_HUB_NAME}", value):
        raise ValueError(
            f"must be owner/name, as in the repository's address on the Hub (me/my-student), got {value!r}"
        )
    return value


def beside(folder: Path, path: str) -> Path:
    """A path as it is written, seen from `folder`; `~` is the home folder, `~nobody` stays as it is."""
    return folder / os.path.expanduser(path)  # noqa: PTH111 (Path.expanduser raises RuntimeError for ~nobody)


def absolute(folder: Path, path: str) -> Path:
    """The same, whole and past all links; but a link to a file without an ending keeps its own name, which says what
    the file holds: a cache of the Hub and DVC keep files under their digests.
    """
    found = beside(folder, path)
    whole = found.resolve()
    return found.parent.resolve() / found.name if found.is_symlink() and whole.is_file() and not whole.suffix else whole


class Section(BaseModel):
    """One section: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

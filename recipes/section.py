"""Shared ground of all sections of a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""Names become folders: lower-case letters, digits, - and _."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy, torch and transformers all take."""


def beside(folder: Path, path: str) -> Path:
    """A path as it is written, seen from `folder`; `~` is the home folder, `~nobody` stays as it is."""
    return folder / os.path.expanduser(path)  # noqa: PTH111 (Path.expanduser raises RuntimeError for ~nobody)


class Section(BaseModel):
    """One section: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

"""The models that a search asks: how they are loaded, and what is said where one is not there or does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from finetune.bases import Base, hub_options, loading
from finetune.hardware import Machine, is_out_of_memory
from finetune.silence import quiet
from recipes.errors import RunError


def open_model(make: Any, setting: str, base: Base, **options: Any) -> Any:
    """What a class of sentence-transformers makes of a base. Raises RunError that begins with the setting."""
    local = base.hub is None
    with quiet(), loading(base, f"{setting}:", RunError):
        try:
            return make(base.place, local_files_only=local, trust_remote_code=False, **hub_options(base), **options)
        except RuntimeError as error:  # weights of other shapes than its config says
            raise ValueError(str(error)) from None


@contextmanager
def room_for(doing: str, machine: Machine, advice: str) -> Iterator[None]:
    """Where memory runs out, as a RunError with the advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"memory ran out while {doing} on the {machine.device}: {advice}") from None

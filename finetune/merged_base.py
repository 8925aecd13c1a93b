"""A student that starts from another one's adapter starts from the two merged: an adapter on an adapter is no model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from finetune import processes
from finetune.adapter_base import BASE_FILE, read_base
from finetune.adapters import ADAPTER_FILE
from finetune.bases import Base
from recipes.console import say
from recipes.runs import digest, file_digest

FOLDER = "merged-as-base"
"""Beside the seeds of the student that was merged."""


def whole_base(base: Base, title: str) -> Base:
    """The base; where it is a student with an adapter, that adapter merged into what it stands on, in 16 bits.

    The merged model is kept, for it is needed whenever the student on it is opened. Raises TrainingError where the
    adapter cannot be merged.
    """
    adapter = Path(base.place)
    if base.taught_length is None or not (adapter / BASE_FILE).exists():
        return base
    state = digest([file_digest(adapter / BASE_FILE), file_digest(adapter / ADAPTER_FILE)])
    merged = adapter.parent / FOLDER / f"{adapter.name}-{state[:12]}"
    if processes.agree(lambda: not (merged / "config.json").exists()):
        say(f"{title}: {base.name} has an adapter; merging it into what it stands on")
        if processes.leads():
            _merge(adapter, merged)
        processes.wait()
    return replace(base, place=str(merged))


def _merge(adapter: Path, out: Path) -> None:
    from finetune.merge import Dtype, TooLargeError, merge_adapter

    record, under = read_base(adapter)
    partial = out.with_name(out.name + ".partial")
    for old in (partial, *out.parent.glob(f"{adapter.name}-*")):
        shutil.rmtree(old, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)

    def merge(dtype: Dtype) -> None:
        merge_adapter(
            under.place, adapter, partial, dtype, record.quantization == "nf4", under.revision, trained_in=record.dtype
        )

    try:
        merge("float16")
    except TooLargeError:  # nobody can choose here: bfloat16 rounds more, and holds what float32 does
        merge("bfloat16")
    partial.replace(out)

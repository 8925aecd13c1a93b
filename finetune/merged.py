"""The merged model of a student, in a folder of its own: weights, tokenizer, how it is asked, its card and its parity.

students/<name>/merged/    safetensors in 16 bits; merged.json says of which student, and parity.json how near it is
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finetune.adapter_base import read_base
from finetune.adapters import ADAPTER_FILE
from finetune.causal_lessons import training_rows
from finetune.export_card import write_merged_card
from finetune.export_folder import check_folder
from finetune.generation_files import write_generation_files
from finetune.merge import Dtype, TooLargeError, merge_adapter
from finetune.parity import forget_parity, read_parity
from finetune.parity_checks import Figures, check_exports
from finetune.parity_words import parity_sentence, warning
from finetune.taken import Taken
from recipes.console import say
from recipes.errors import RunError, TrainingError
from recipes.rows import ResponseRow
from recipes.runs import digest, file_digest, write_atomic

SOURCE_FILE = "merged.json"
PARITY_TEXTS = 4


def merge_student(taken: Taken, dtype: Dtype | None, out: Path | None, measure: bool) -> Path:
    """Merge the adapter into its base and return the folder. What is there already of the same adapter and dtype stays.

    dtype: float16 where none is named, or bfloat16 where a weight is beyond what float16 holds. measure: compare the
    result with the student. Raises TrainingError for a student that has no adapter, and for a folder of something else.
    """
    if not taken.adapted:
        raise TrainingError(f"the student {taken.name} has no adapter: {taken.folder} is the whole model")
    if out is not None:
        check_folder(out, ours=_read(out).get("student") == taken.title)
    rows = parity_rows(taken) if measure else []
    folder = merged_folder(taken, dtype, out or taken.home / "merged")
    if measure:
        tell(check_adapted(taken, folder, [], rows), merged_dtype(folder))
    write_card(taken, folder)
    say(f"student {taken.name}: the merged model is in {folder}")
    return folder


def merged_folder(taken: Taken, dtype: Dtype | None, out: Path) -> Path:
    """The merged model in `out`, made anew only where that is of something else."""
    record, base = read_base(taken.folder)
    source = digest([file_digest(taken.folder / ADAPTER_FILE), record.model_dump()])
    before = _read(out)
    fits = before.get("dtype") == (dtype or "float16") or (dtype is None and before.get("too_large_for_float16"))
    if (out / "config.json").exists() and before.get("source") == source and fits:
        say(f"student {taken.name}: merged before, {out}")
        return out
    marks: dict[str, Any] = {"student": taken.title, "seed": taken.seed}
    write_atomic(out / SOURCE_FILE, json.dumps(marks).encode())  # the folder is known as ours from the start
    forget_parity(out)

    def merge(kind: Dtype) -> None:
        say(f"student {taken.name}: merging adapter and base into {out}, {kind}")
        merge_adapter(
            base.place, taken.folder, out, kind, record.quantization == "nf4", base.revision,
            trained_in=record.dtype, progress=quarters(f"merging into {out}"),
        )  # fmt: skip

    too_large, kind = False, dtype or "float16"
    try:
        merge(kind)
    except TooLargeError as error:
        if dtype is not None:
            raise
        say(f"student {taken.name}: {error}: it is merged to bfloat16")
        too_large, kind = True, "bfloat16"
        merge(kind)
    write_generation_files(taken, out)
    marks |= {"source": source, "dtype": kind, "too_large_for_float16": too_large}
    write_atomic(out / SOURCE_FILE, json.dumps(marks).encode())
    return out


def write_card(taken: Taken, merged: Path) -> None:
    """README.md of the merged model, with what is known of its parity."""
    write_merged_card(taken, merged, merged_dtype(merged), read_parity(merged))


def merged_dtype(merged: Path) -> str:
    """What the weights of a merged model are stored in."""
    return str(_read(merged).get("dtype"))


def check_adapted(taken: Taken, merged: Path, files: list[Path], rows: list[ResponseRow]) -> Figures:
    """Each copy against the adapter on its base, on the prompts of `rows`; written to parity.json beside it."""
    record, base = read_base(taken.folder)
    texts = [taken.renderer.render(row).prompt.removeprefix(taken.bos) for row in rows]
    return check_exports(
        base.place, taken.folder, merged, files, texts, record.quantization == "nf4", base.revision,
        trained_in=record.dtype,
    )  # fmt: skip


def parity_rows(taken: Taken) -> list[ResponseRow]:
    """The rows whose prompts the copies are compared on. Raises RunError where there are none any more."""
    try:
        return training_rows(taken.recipe, taken.name, taken.run)[:PARITY_TEXTS]
    except RunError as error:
        raise RunError(f"{error}, or leave the comparison out: --no-parity") from None


def tell(figures: Figures, merged: str = "") -> None:
    """Say what was found of each copy. merged: dtype of what is no GGUF file."""
    for name, one in figures.items():
        say(f"{name}: {parity_sentence(one)}")
        kind = name.removesuffix(".gguf").rpartition("-")[2] if name.endswith(".gguf") else merged
        said = warning(kind, one)
        if said:
            say(f"{name}: {said}")


def quarters(title: str) -> Callable[[int, int], None]:
    """Says each quarter of a long work."""

    def told(done: int, total: int) -> None:
        if total >= 100 and done * 4 // total > (done - 1) * 4 // total:
            say(f"{title}: {done * 4 // total * 25}%")

    return told


def _read(folder: Path) -> dict[str, Any]:
    """merged.json of a folder; empty where there is none."""
    try:
        found = json.loads((folder / SOURCE_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

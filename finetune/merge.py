"""Adapter + base -> one model: each linear layer is brought to the values it was trained on, and its LoRA is added.

The base of a 4-bit student is not the checkpoint but what NF4 leaves of it: merging into the checkpoint itself, or into
the packed 4 bits, gives another model (logits off by 1.35 where dequantising first is off by 0.004). Tensors go from
file to file one at a time, so that 8B parameters merge on a laptop.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finetune.base_weights import find_base_folder, merged_shapes, open_base, read_config
from finetune.lora_files import LoraLayer, read_lora
from finetune.shards import SHARD_BYTES, is_finite, write_weights
from finetune.tokenizer_files import name_whole_class
from recipes.errors import TrainingError
from recipes.runs import write_atomic

if TYPE_CHECKING:
    import torch

Dtype = Literal["float16", "bfloat16", "float32"]

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip


class TooLargeError(TrainingError):
    """A weight that the dtype asked for cannot hold."""


@dataclass(frozen=True)
class Merged:
    """A merged model. `layers` had a LoRA added; `dequantised` went through NF4 or were stored in it."""

    folder: Path
    files: tuple[Path, ...]
    bytes: int
    layers: int
    dequantised: int


def merge_adapter(
    base: str | Path,
    adapter: Path,
    out: Path,
    dtype: Dtype = "float16",
    quantised: bool = True,
    revision: str | None = None,
    *,
    trained_in: Dtype | None = None,
    double_quant: bool = True,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Merged:
    """Write base + adapter to the folder `out` as safetensors of `dtype`, with config and tokenizer.

    base: a folder or a Hub id (of `revision`), in 16 or 32 bits or already in bitsandbytes' 4 bits.
    dtype: float16 rounds eight times less than bfloat16 (bench/merge_rounding.py); most weights fit both.
    quantised: the adapter was trained with the base in NF4. trained_in: the dtype it was loaded and computed in then,
    where that was not the base's own: it rounds the dequantised values. double_quant: as in training.
    progress: told tensors done and tensors in all. config.json comes last: a folder that has one is whole.
    Raises TrainingError where base and adapter do not fit or the adapter cannot be merged.
    """
    import torch

    folder = find_base_folder(base, revision)
    _check_folders(folder, adapter, out)
    lora = read_lora(adapter)
    config = read_config(folder)
    source = open_base(folder, config, quantised, double_quant, trained_in)
    shapes = merged_shapes(source, config)
    _check_fit(lora, shapes, folder, adapter)
    goal: torch.dtype = getattr(torch, dtype)
    done = iter(range(1, len(shapes) + 1))

    def make(name: str) -> torch.Tensor:
        made = _merge(source.plain(name), lora.get(name.removesuffix(".weight")), goal, name)
        if progress is not None:
            progress(next(done), len(shapes))
        return made

    (out / "config.json").unlink(missing_ok=True)
    files = write_weights(out, shapes, goal, make, shard_bytes)
    _copy_rest(folder, adapter, out)
    _write_config(folder, out, dtype)
    return Merged(
        out, tuple(files), sum(file.stat().st_size for file in files), len(lora), len(source.packed | source.linear)
    )


def _merge(weight: torch.Tensor, lora: LoraLayer | None, dtype: torch.dtype, name: str) -> torch.Tensor:
    if lora is not None:
        weight = weight.float().addmm(lora.b, lora.a, alpha=lora.scale)
    made = weight.to(dtype)
    if not is_finite(made):
        raise TooLargeError(
            f"{name} has values that {str(dtype).removeprefix('torch.')} cannot hold: merge to bfloat16 or float32"
        )
    return made


def _check_folders(base: Path, adapter: Path, out: Path) -> None:
    for other, what in ((base, "base"), (adapter, "adapter")):
        if out.resolve() == other.resolve():
            raise TrainingError(f"the merged model cannot be written over its {what} in {other}: name another folder")


def _check_fit(lora: dict[str, LoraLayer], shapes: dict[str, tuple[int, ...]], folder: Path, adapter: Path) -> None:
    for layer, one in lora.items():
        shape = shapes.get(f"{layer}.weight")
        if shape != one.shape:
            seen = "is not there" if shape is None else f"is {shape[0]} x {shape[1]}"
            raise TrainingError(
                f"the adapter in {adapter} does not fit the base in {folder}: it changes {layer} of {one.shape[0]} x "
                f"{one.shape[1]}, which {seen}; give the base it was trained on"
            )


def _copy_rest(base: Path, adapter: Path, out: Path) -> None:
    """Tokenizer as it was trained with (the adapter's, where it has one), and how to generate."""
    home = adapter if (adapter / "tokenizer.json").is_file() else base
    for name in TOKENIZER_FILES:
        (out / name).unlink(missing_ok=True)
        if (home / name).is_file():
            shutil.copyfile(home / name, out / name)
    name_whole_class(out)
    for place in (adapter, base):
        if (place / "generation_config.json").is_file():
            shutil.copyfile(place / "generation_config.json", out / "generation_config.json")
            break


def _write_config(base: Path, out: Path, dtype: Dtype) -> None:
    config: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    write_atomic(out / "config.json", json.dumps(config, indent=2, ensure_ascii=False).encode())

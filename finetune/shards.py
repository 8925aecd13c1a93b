"""Checkpoints of safetensors files, read and written a tensor at a time: no checkpoint is ever whole in memory.

The format is an 8-byte length, a JSON header and the bytes (https://huggingface.co/docs/safetensors); the library can
only write a file whose tensors are all in memory at once, so the writing is done here.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from recipes.errors import TrainingError
from recipes.runs import write_atomic

if TYPE_CHECKING:
    import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD_BYTES = 4_000_000_000
"""Most bytes of tensors in a file; one tensor that is larger has a file of its own."""
_SHORT = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint folder, by name, in the order of its files."""

    folder: Path
    places: dict[str, Path]
    shapes: dict[str, tuple[int, ...]]

    def read(self, name: str) -> torch.Tensor:
        """One tensor as it is stored: a view of the file, whose pages the system can drop again."""
        from safetensors import safe_open

        with safe_open(self.places[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor


def open_weights(folder: Path) -> Weights:
    """The weights of a model folder. Raises TrainingError where they are not there, damaged, or pickled."""
    from safetensors import SafetensorError, safe_open

    places: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    places[name] = path
                    shapes[name] = tuple(file.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise TrainingError(f"{path} cannot be read ({error}): get or make it again") from None
    return Weights(folder, places, shapes)


def _files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise TrainingError(f"{folder} is not whole: {INDEX} names {absent[0]}, which is not there")
        return [folder / name for name in names]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    what = "has pickled weights only" if list(folder.glob("*.bin")) else "has no weights"
    raise TrainingError(f"{folder} {what}: a folder with {SINGLE} or {INDEX} is needed")


def write_weights(
    folder: Path,
    shapes: dict[str, tuple[int, ...]],
    dtype: torch.dtype,
    make: Callable[[str], torch.Tensor],
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write one tensor of `dtype` for each name of `shapes`, each asked of `make` when its turn comes; the files.

    Weights that were in the folder go first; the index, where there are several files, is written last.
    Raises TrainingError where the disk has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("model*.safetensors"), folder / INDEX]:
        old.unlink(missing_ok=True)
    _check_room(folder, sum(math.prod(shape) for shape in shapes.values()) * dtype.itemsize)
    shards = list(_split(shapes, dtype.itemsize, shard_bytes))
    paths: list[Path] = []
    places: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        name = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / name, {one: shapes[one] for one in names}, dtype, make)
        paths.append(folder / name)
        places |= dict.fromkeys(names, name)
    if len(shards) > 1:
        total = sum(math.prod(shape) for shape in shapes.values()) * dtype.itemsize
        index = {"metadata": {"total_size": total}, "weight_map": places}
        write_atomic(folder / INDEX, json.dumps(index, indent=1).encode())
    return paths


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TrainingError(f"{folder} needs {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB free")


def _split(shapes: dict[str, tuple[int, ...]], item: int, most: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        more = math.prod(shape) * item
        if names and size + more > most:
            yield names
            names, size = [], 0
        names.append(name)
        size += more
    yield names


def _write_shard(
    path: Path, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype, make: Callable[[str], torch.Tensor]
) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(_header(shapes, dtype))
        for name, shape in shapes.items():
            _put(out, make(name), shape, dtype)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def _put(out: BinaryIO, tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise ValueError(f"made {tuple(tensor.shape)} {tensor.dtype}, announced {shape} {dtype}")
    out.write(memoryview(_as_bytes(tensor)))


def _header(shapes: dict[str, tuple[int, ...]], dtype: torch.dtype) -> bytes:
    short = _SHORT[str(dtype).removeprefix("torch.")]
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses a file without it
    start = 0
    for name, shape in shapes.items():
        end = start + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": short, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _as_bytes(tensor: torch.Tensor) -> Any:
    """A tensor's bytes as a flat numpy array of uint8, without a copy where it is contiguous."""
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is infinite or no number; torch's own answer takes twice the tensor's memory."""
    flat, step = tensor.reshape(-1), 1 << 24
    return all(bool(flat[start : start + step].isfinite().all()) for start in range(0, len(flat), step))

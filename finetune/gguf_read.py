"""A GGUF file of ours back to safetensors, a tensor at a time: for machines that cannot hold the model in memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.base_weights import read_config
from finetune.gguf_tensors import CHUNK, Plan, plan_tensors
from finetune.shards import open_weights, write_weights

if TYPE_CHECKING:
    import torch


def unpack_gguf(file: Path, merged: Path, out: Path) -> Path:
    """Write the weights in `file` to the folder `out` in float16, with the config of the model it was made of.

    float16 rounds what q8_0 and q4_0 hold by less than a tenth of their own steps. Raises TrainingError where the disk
    has no room.
    """
    import torch
    from gguf import GGUFReader

    reader = GGUFReader(file)
    arch = str(reader.fields["general.architecture"].contents())
    plans, _ = plan_tensors(open_weights(merged), read_config(merged), arch, "f16")
    stored = {tensor.name: tensor for tensor in reader.tensors}
    by_source = {plan.source: plan for plan in plans}

    def make(source: str) -> torch.Tensor:
        plan = by_source[source]
        return _unpermuted(_dequantised(stored[plan.name], plan), plan.heads)

    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(merged / "config.json", out / "config.json")
    write_weights(out, {plan.source: plan.shape for plan in plans}, torch.float16, make)
    return out


def _dequantised(stored: Any, plan: Plan) -> torch.Tensor:
    import gguf
    import torch

    made = torch.empty(plan.shape, dtype=torch.float16)
    step = max(1, CHUNK // plan.shape[-1])
    for start in range(0, plan.shape[0], step):
        rows = np.ascontiguousarray(stored.data[start : start + step])
        made[start : start + step] = torch.from_numpy(gguf.dequantize(rows, stored.tensor_type)).to(torch.float16)
    return made


def _unpermuted(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo gguf_tensors.permute: neighbouring pairs of rows back to halves."""
    if not heads:
        return tensor
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, half, 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)

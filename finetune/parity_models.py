"""The models that parity is measured of, in float32 on the CPU: adapter on base, merged folder, GGUF file."""

from __future__ import annotations

import io
import math
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from finetune.base_weights import BaseWeights, read_config
from finetune.shards import open_weights
from finetune.silence import quiet
from recipes.errors import TrainingError

if TYPE_CHECKING:
    import torch

_SPARE = 1.2
"""What a model takes with what it computes, as a multiple of its weights."""
_NF4_BYTES = 0.53
"""Bytes of a weight in NF4 with its scales."""


def free_memory() -> int:
    """Bytes that this machine can still give."""
    psutil: Any = import_module("psutil")  # comes with accelerate
    return int(psutil.virtual_memory().available)


def lacking(weights: float) -> str:
    """Why a model with this many bytes of weights cannot be run here; empty where it can."""
    needed, free = weights * _SPARE, free_memory()
    return (
        f"not measured: {needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free"
        if needed > free
        else ""
    )


def adapter_bytes(source: BaseWeights) -> float:
    """Memory of the weights that `load_adapter` loads."""
    sizes = {name: math.prod(shape) for name, shape in source.weights.shapes.items()}
    return sum(
        size * (_NF4_BYTES if name in source.linear else 1 if name in source.packed else 4)
        for name, size in sizes.items()
    )


def merged_bytes(folder: Path) -> float:
    """Memory of the weights of a model folder in float32, or of a GGUF file made of it."""
    return 4 * sum(math.prod(shape) for shape in open_weights(folder).shapes.values())


def load_adapter(source: BaseWeights, adapter: Path) -> Any:
    """The adapter on its base with the values of its training, rounded to `source.dtype`, computing in float32."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config: Any = BitsAndBytesConfig
    options: dict[str, Any] = {"dtype": source.dtype, "device_map": {"": "cpu"}, "trust_remote_code": False}
    if source.linear:
        options["quantization_config"] = config(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=source.double_quant
        )
    try:
        with quiet():
            model: Any = AutoModelForCausalLM.from_pretrained(str(source.weights.folder), **options)
            for weight in model.parameters():
                if weight.is_floating_point():
                    weight.data = weight.data.float()
            _compute_exactly(model, source.dtype)
            tuned: Any = PeftModel.from_pretrained(model, str(adapter), torch_device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the adapter in {adapter} cannot be opened on its base ({first})") from None
    return tuned.eval()


def _compute_exactly(model: Any, dtype: torch.dtype) -> None:
    """Dequantise 4-bit layers to `dtype` and multiply in float32; on a CPU bitsandbytes rounds more (see nf4.py)."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    def forward(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
        layer.weight.quant_state.dtype = dtype
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(inputs.dtype)
        return torch.nn.functional.linear(inputs, weight, layer.bias)

    for part in model.modules():
        if type(part).__name__ == "Linear4bit":
            part.forward = MethodType(forward, part)


def load_merged(folder: Path, scratch: Path | None = None) -> Any:
    """A merged model in float32. scratch: where memory is short, stream its layers from the disk as they are used."""
    import torch
    from transformers import AutoModelForCausalLM

    placed: dict[str, Any] = {"device_map": {"": "cpu"}}
    if scratch is not None:
        placed = {"device_map": "auto", "max_memory": {"cpu": free_memory() // 2}, "offload_folder": str(scratch)}
    with quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.float32, trust_remote_code=False, **placed
        )
    return model.eval()


def load_gguf(file: Path, merged: Path) -> Any:
    """A GGUF file as transformers reads it, in float32; what it does not read (rope scaling) is taken from `merged`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    own = read_config(merged)
    with quiet(), redirect_stderr(io.StringIO()):  # a bar for each file, which no setting of transformers stops
        config: Any = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
        if own.rope_parameters["rope_type"] != "default":
            config.rope_parameters = own.rope_parameters
        if getattr(own, "head_dim", None):
            config.head_dim = own.head_dim
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(file.parent), gguf_file=file.name, config=config, dtype=torch.float32
        )
    return model.eval()

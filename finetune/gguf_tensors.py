"""A model's tensors as a GGUF file names, orders and packs them, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from finetune.shards import Weights, is_finite
from recipes.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from gguf import GGMLQuantizationType
    from transformers import PretrainedConfig

Kind = Literal["f16", "q8_0", "q4_0"]
Array = npt.NDArray[Any]

BLOCK = 32
"""Values that share a scale in q8_0 and q4_0: a row must be a whole number of blocks."""
CHUNK = 1 << 24
"""Values that are turned into float32 at a time."""
_EMBEDDINGS, _HEAD, _ROPE = "token_embd.weight", "output.weight", "rope_freqs.weight"


@dataclass(frozen=True)
class Plan:
    """One tensor of the file. source: its name in the model folder; heads: how its rows are permuted, 0 for not."""

    name: str
    source: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    heads: int


def plan_tensors(weights: Weights, config: PretrainedConfig, arch: str, kind: Kind) -> tuple[list[Plan], list[str]]:
    """What to write for each tensor of a model folder, and sentences on those that could not be `kind`.

    As llama-quantize does: vectors stay float32; the head is packed less than the rest (there q6_K, which cannot be
    made in Python, here q8_0), and so are embeddings that are the head too.
    Raises TrainingError for a tensor that GGUF has no name for.
    """
    import gguf

    names = gguf.get_tensor_name_map(_arch(arch), config.num_hidden_layers)
    permuted = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads} if arch == "llama" else {}
    plans: list[Plan] = []
    for source, shape in weights.shapes.items():
        if source == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise TrainingError(f"{weights.folder}: the tensor {source} has no place in a GGUF file of {arch}")
        heads = next((count for part, count in permuted.items() if f".{part}." in source), 0)
        plans.append(Plan(name, source, shape, _pack_as(name, shape, kind, bool(config.tie_word_embeddings)), heads))
    odd = [plan.name for plan in plans if kind != "f16" and len(plan.shape) > 1 and plan.shape[-1] % BLOCK]
    named = ", ".join(odd[:2]) + (" ..." if len(odd) > 2 else "")
    note = f"{len(odd)} tensors have rows that are no multiple of {BLOCK} ({named}): they stay f16"
    return sorted(plans, key=_place), [note] if odd else []


def _arch(arch: str) -> Any:
    import gguf

    return next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)


def _place(plan: Plan) -> tuple[int, str]:
    """Embeddings first, then the layers in order, then the rest."""
    parts = plan.name.split(".")
    if plan.name == _EMBEDDINGS:
        return -1, plan.name
    return (int(parts[1]), plan.name) if parts[0] == "blk" else (1 << 30, plan.name)


def _pack_as(name: str, shape: tuple[int, ...], kind: Kind, tied: bool) -> GGMLQuantizationType:
    from gguf import GGMLQuantizationType as Packing

    if len(shape) == 1:
        return Packing.F32
    if kind == "f16" or shape[-1] % BLOCK:
        return Packing.F16
    if kind == "q8_0" or name == _HEAD or (name == _EMBEDDINGS and tied):
        return Packing.Q8_0
    return Packing.Q4_0


def pack(weights: Weights, plan: Plan) -> Array:
    """The bytes of one tensor, as the file holds them. Raises TrainingError for a value that float16 cannot hold."""
    import torch
    from gguf import GGMLQuantizationType as Packing

    tensor = weights.read(plan.source)
    if plan.heads:
        tensor = permute(tensor, plan.heads)
    if plan.kind not in (Packing.F32, Packing.F16):
        return _quantise(tensor, plan.kind)
    plain = tensor.to(torch.float32 if plan.kind == Packing.F32 else torch.float16)
    if not is_finite(plain):
        raise TrainingError(f"{plan.source} has values that f16 cannot hold: the model cannot be written as GGUF")
    return plain.numpy()


def permute(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a q or k projection (or its bias) in llama.cpp's order for its `llama` models.

    transformers rotates a head's first half against its second, llama.cpp neighbouring pairs: within each head, row i
    and row i + half become rows 2i and 2i + 1.
    """
    rows = tensor.shape[0]
    halves = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _quantise(tensor: torch.Tensor, kind: GGMLQuantizationType) -> Array:
    import gguf

    rows, width = tensor.shape
    packed = np.empty(gguf.quant_shape_to_byte_shape((rows, width), kind), dtype=np.uint8)
    step = max(1, CHUNK // width)
    for start in range(0, rows, step):
        chunk = tensor[start : start + step].float().numpy()
        packed[start : start + step] = gguf.quants.quantize(chunk, kind)
    return packed


def rope_factors(config: PretrainedConfig) -> Array | None:
    """What llama.cpp divides each rotary frequency by (`rope_freqs`), for Llama-3.1's scaling; None for any other."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope: dict[str, Any] = config.rope_parameters
    if rope["rope_type"] != "llama3":
        return None
    scaled = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")[0].double().numpy()
    plain = rope["rope_theta"] ** -(np.arange(len(scaled), dtype=np.float64) / len(scaled))
    factors: Array = (plain / scaled).astype(np.float32)
    return factors

"""The values a 4-bit layer really computes with: NF4 as bitsandbytes stores it, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recipes.errors import TrainingError

if TYPE_CHECKING:
    import torch

    from finetune.shards import Weights

BLOCK = 64
"""Values that share one scale: what transformers and bitsandbytes quantise with at load."""


def through_nf4(weight: torch.Tensor, double_quant: bool) -> torch.Tensor:
    """What is left of a linear layer's weight after NF4 (https://arxiv.org/abs/2305.14314), in the dtype given.

    double_quant: the scales are themselves kept in 8 bits, in blocks of 256.
    """
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(
        weight.contiguous(), blocksize=BLOCK, compress_statistics=double_quant, quant_type="nf4"
    )
    plain: torch.Tensor = dequantize_4bit(packed, state)
    return plain


def keep_exact(model: Any) -> None:
    """Make a 4-bit model compute on a CPU with the values it was trained on, in evaluation too.

    Where the CPU has AVX512-BF16, bitsandbytes 0.50 repacks a layer the first time it is used in evaluation: scales and
    inputs are cut to bfloat16 (logits off by 2 to 4%), widths that are no multiples of 32 and 64 fail, and no gradient
    passes the layer from then on, so that a training that pauses to evaluate goes on wrongly. This turns it off.
    """
    for part in model.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False


def stored_names(weights: Weights) -> set[str]:
    """Names of the tensors that the checkpoint holds in 4 bits already, such as unsloth/*-bnb-4bit.

    Raises TrainingError for 8 bits.
    """
    eight = [name for name in weights.places if name.endswith(".SCB")]
    if eight:
        raise TrainingError(f"{weights.folder} holds 8-bit weights ({eight[0]}): a 4-bit or 16-bit base is needed")
    return {name.partition(".quant_state.")[0] for name in weights.places if ".quant_state." in name}


def stored_shape(weights: Weights, name: str) -> tuple[int, ...]:
    """Shape of a 4-bit tensor once it is dequantised."""
    return tuple(_state(weights, name).shape)


def stored(weights: Weights, name: str, dtype: torch.dtype) -> torch.Tensor:
    """A tensor that the checkpoint holds in 4 bits, dequantised to `dtype`: bitsandbytes does so to the dtype it
    computes in, whatever the checkpoint was made from.
    """
    from bitsandbytes.functional import dequantize_4bit

    state = _state(weights, name)
    state.dtype = dtype
    plain: torch.Tensor = dequantize_4bit(weights.read(name), state)
    return plain


def _state(weights: Weights, name: str) -> Any:
    from bitsandbytes.functional import QuantState

    parts = {key: weights.read(key) for key in weights.places if key.startswith(f"{name}.")}
    try:
        return QuantState.from_dict(parts, device=weights.read(name).device)
    except (KeyError, ValueError, AssertionError):
        raise TrainingError(f"{weights.folder} is damaged: the scales of {name} are not whole") from None

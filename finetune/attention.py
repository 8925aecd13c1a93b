"""Attention over packed rows that computes each row by itself: no row sees another, and none pays for another.

transformers can keep packed rows apart with a mask, but then every token is still compared with the whole sequence, and
a mask of n x n is built. Here the sequence is cut at the rows' ends and each part goes to torch's own attention, whose
quickest kernels need no mask. The rest of the model (its linear layers, where the work is) sees one long sequence.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "rows_apart"


def rows_apart(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    row_lengths: tuple[int, ...] | None = None, sliding_window: int | None = None, **options: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Causal attention in each row of a sequence: query (1, heads, n, d), key and value (1, kv heads, n, d) -> (1, n,
    heads, d). row_lengths sum to n; None: one row. sliding_window: how far back a token sees, if limited.
    """
    if row_lengths is None or attention_mask is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    # on a CPU torch's backward pass takes twice as long in bfloat16 as in float32
    dtype = torch.float32 if query.device.type == "cpu" else query.dtype
    parts = [torch.split(tensor.to(dtype), list(row_lengths), dim=2) for tensor in (query, key, value)]
    how = {"scale": options.get("scaling"), "dropout_p": options.get("dropout", 0.0)}
    outputs = [_attend(q, k, v, sliding_window, how) for q, k, v in zip(*parts, strict=True)]
    return torch.cat(outputs, dim=2).transpose(1, 2).to(query.dtype).contiguous(), None


def _attend(query: Tensor, key: Tensor, value: Tensor, width: int | None, how: dict[str, Any]) -> Tensor:
    """torch's attention within one row: (1, heads, n, d)."""
    groups = query.shape[1] // key.shape[1]
    shares = groups > 1 and _shares_keys(query)
    if groups > 1 and not shares:
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    mask = _window(query, width)
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=shares, **how)


def _shares_keys(query: Tensor) -> bool:
    """Whether a kernel that keeps no n x n matrix takes fewer keys than queries: on CUDA only Flash does, which wants
    16 bits and Ampere or later; a T4 would fall back to one that keeps the matrix in float32.
    """
    if query.device.type != "cuda":
        return True
    return query.dtype != torch.float32 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _window(query: Tensor, width: int | None) -> Tensor | None:
    """The mask of a row that is longer than the model looks back; None where plain causal attention is the same."""
    length = query.shape[2]
    if width is None or length <= width:
        return None
    back = torch.arange(length, device=query.device)[:, None] - torch.arange(length, device=query.device)
    return ((back >= 0) & (back < width))[None, None]


def _mask(*places: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
    """The mask for padded rows; none for packed ones."""
    return None if attention_mask is None else sdpa_mask(*places, attention_mask=attention_mask, **options)


AttentionInterface.register(NAME, rows_apart)
AttentionMaskInterface.register(NAME, _mask)

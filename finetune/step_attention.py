"""Attention of one new token a row, for models in which several heads share their keys (grouped-query attention).

transformers copies the keys and values once for each head that shares them, as soon as there is a mask: at every token,
all of the text so far. The heads that share keys can as well be asked as if they were so many tokens of one head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "step"


def attend_in_steps(model: Any) -> None:
    """Have a model attend so, where it attends by torch's own attention until now and lets itself be told."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    if whole.config._attn_implementation == "sdpa" and whole._can_set_attn_implementation():
        whole.set_attn_implementation(NAME)


def step_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """As sdpa_attention_forward: query (n, heads, new, d), key, value (n, kv heads, all, d) -> (n, new, heads, d)."""
    rows, heads, new, _ = query.shape
    kept = key.shape[1]
    alike = attention_mask is None or attention_mask.shape[1] == 1
    if new > 1 or heads == kept or not alike or module.training or options.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    grouped = query.reshape(rows, kept, heads // kept, -1)
    attend = torch.nn.functional.scaled_dot_product_attention
    output = attend(grouped, key, value, attn_mask=attention_mask, scale=options.get("scaling"))
    return output.reshape(rows, 1, heads, -1), None


AttentionInterface.register(NAME, step_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)

"""TRL's loss in chunks of completion tokens, less what nobody reads of it.

The logits of a 128,000-word vocabulary are never whole in memory. TRL also takes the entropy and the accuracy of every
token, which costs as much as the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from trl.trainer import sft_trainer

from finetune.causal_batches import IGNORED


@contextmanager
def lean_loss() -> Iterator[None]:
    """Let TRL's loss compute the loss alone while the block runs."""
    full, sft_trainer._chunk = sft_trainer._chunk, _chunk
    try:
        yield
    finally:
        sft_trainer._chunk = full


def _chunk(
    hidden: Tensor, head: Tensor, bias: Tensor | None, targets: Tensor, scale: float, cap: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Summed loss of a chunk of tokens: hidden (n, width), head (vocabulary, width); two zeros for what is left out."""
    logits = (hidden @ head.to(hidden.dtype).t()).float()
    if bias is not None:
        logits = logits + bias.float()
    if scale != 1.0:
        logits = logits * scale
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    zero = logits.new_zeros(())
    return torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum"), zero, zero

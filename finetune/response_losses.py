"""How likely a model finds texts that are given: the summed loss of the end of each."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from finetune.decoding import no_numbers, pad_left

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 256
"""Tokens whose logits are in memory at once."""


def response_losses(model: Any, rows: Sequence[tuple[list[int], int]]) -> list[float]:
    """Summed negative log-likelihood (nats) of ids[start:] of each (ids, start), start > 0. Raises TrainingError where
    that is no number.
    """
    import torch

    whole = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's layers are inside it
    with torch.inference_mode():
        ids, mask = pad_left([ids for ids, _ in rows], model.device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        backbone = whole.base_model  # all but the head
        hidden = backbone(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).last_hidden_state
        found = []
        for row, (text, start) in enumerate(rows):
            count = len(text) - start
            found.append(_summed(whole, hidden[row, -count - 1 : -1], ids[row, -count:]))
        losses: list[float] = torch.stack(found).tolist()
    if not all(isfinite(one) for one in losses):
        raise no_numbers(model)
    return losses


def _summed(model: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """The loss of targets (n) after hidden states (n, width), in float32."""
    import torch
    from torch.nn.functional import cross_entropy

    total = torch.zeros((), device=hidden.device)
    for start in range(0, len(targets), CHUNK):
        logits = _logits(model, hidden[start : start + CHUNK])
        total += cross_entropy(logits, targets[start : start + CHUNK], reduction="sum")
    return total


def _logits(model: Any, hidden: Tensor) -> Tensor:
    """(n, tokens) in float32, as the model's own forward makes them: some scale them, or bend them below a cap."""
    config = model.config
    logits: Tensor = model.get_output_embeddings()(hidden).float()
    if scale := getattr(config, "logit_scale", None):  # Cohere
        logits = logits * scale
    if scale := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / scale
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
        logits = cap * (logits / cap).tanh()
    return logits

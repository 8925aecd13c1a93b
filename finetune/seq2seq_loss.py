"""The loss of what is written: nats of every token of a target, its end token included, padding not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""Label of padding, which is not under the loss."""


def sequence_nats(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of -log softmax(logits) at the labels, in nats, in float32 whatever the model computed in.

    logits: (n, tokens, vocabulary); labels: (n, tokens), IGNORED where nothing is to be learnt.
    """
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")

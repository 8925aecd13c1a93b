"""What a student is punished for, as pure functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of -sum(target * log softmax(logits)), in nats.

    logits, targets: (n, labels); each row of targets sums to 1. With one-hot targets this is the usual cross-entropy.
    """
    return -(targets * logits.float().log_softmax(dim=-1)).sum(dim=-1).mean()


def soften(probabilities: Tensor, temperature: float) -> Tensor:
    """What softmax(z / T) gives where softmax(z) gave `probabilities` (n, labels): p^(1/T), scaled to sum to 1."""
    powers = probabilities.float() ** (1 / temperature)
    return powers / powers.sum(dim=-1, keepdim=True)


def distillation_loss(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy between teacher and student, both softened by the temperature (Hinton et al., arXiv 1503.02531).

    Scaled by T^2, so that gradients stay about as large whatever the temperature. At T = 1: `soft_cross_entropy`.
    """
    return temperature**2 * soft_cross_entropy(logits / temperature, soften(targets, temperature))


def multi_label_loss(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """The same where each label applies or not, whatever the others do: a softmax over them would set them at odds.

    Mean over rows and labels of -p log s(z / T) - (1 - p) log(1 - s(z / T)), times T^2; s is the logistic sigmoid and p
    the target softened by T. logits, targets: (n, labels), targets from 0 to 1 and of any sum.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    softened = soften_each(targets, temperature)
    return temperature**2 * binary_cross_entropy_with_logits(logits.float() / temperature, softened)


def soften_each(probabilities: Tensor, temperature: float) -> Tensor:
    """What sigmoid(z / T) gives where sigmoid(z) gave `probabilities`, entry by entry."""
    yes, no = (side.float() ** (1 / temperature) for side in (probabilities, 1 - probabilities))
    return yes / (yes + no)

"""AdamW whose step is as large as its weight is: what T5 is pre-trained with where it is not Adafactor.

nanoT5 (arXiv 2309.02373) takes from Adafactor (arXiv 1804.04235, section 8) the one thing that T5 needs: the learning
rate is relative, each step multiplied by the root mean square of the weight that it changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

LEAST_SCALE = 1e-3
"""A weight of zeros must be able to leave them."""


class ScaledAdamW(Optimizer):
    """w <- w - lr max(LEAST_SCALE, RMS(w)) m' / (sqrt(v') + eps) - lr weight_decay w, with m' and v' free of bias.

    eps is added before sqrt(v) is freed of its bias, as in the published AdamW of the BERT and T5 codes. The decay is
    not scaled.
    """

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        grads = [weight.grad for weight in weights]
        states = [self._state(weight) for weight in weights]
        means, squares = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
        (first, second), lr = group["betas"], group["lr"]
        for state in states:
            state["step"] += 1
        torch._foreach_lerp_(means, grads, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, grads, grads, 1 - second)
        steps = torch._foreach_sqrt(squares)
        torch._foreach_add_(steps, group["eps"])
        steps = torch._foreach_div(means, steps)
        for weight, step, state in zip(weights, steps, states, strict=True):
            unbiased = math.sqrt(1 - second ** state["step"]) / (1 - first ** state["step"])
            weight.sub_(step.mul_(_scale(weight) * (lr * unbiased)))  # no .item(): a GPU would wait at every weight
            if group["weight_decay"]:
                weight.mul_(1 - lr * group["weight_decay"])

    def _state(self, weight: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[weight]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        return state


def _scale(weight: Tensor) -> Tensor:
    """max(LEAST_SCALE, RMS(weight)), a tensor of no dimension."""
    scale: Tensor = weight.norm() / math.sqrt(max(1, weight.numel()))
    return scale.clamp(min=LEAST_SCALE)

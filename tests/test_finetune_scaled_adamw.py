"""AdamW with steps as large as their weights, against values worked out by hand and against Adafactor's own scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import Adafactor

from finetune.scaled_adamw import LEAST_SCALE, ScaledAdamW


def stepped(start: list[float], gradients: list[list[float]], **settings: float) -> Tensor:
    weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = ScaledAdamW([weight], lr=0.1, **settings)  # type: ignore[arg-type]
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weight.detach()


def test_the_first_step_is_the_rate_times_the_size_of_the_weight() -> None:
    # RMS of (3, 4) is 5 / sqrt(2) = 3.5355339; m = 0.1 g, v = 0.001 g^2, sqrt(0.001) / 0.1 = 0.3162278:
    # 3 - 0.1 * 3.5355339 * 0.3162278 * 0.1 / (0.0316228 + 1e-6) = 3 - 0.3535422
    # 4 + 0.1 * 3.5355339 * 0.3162278 * 0.2 / (0.0632456 + 1e-6) = 4 + 0.3535478
    assert stepped([3, 4], [[1, -2]]).tolist() == pytest.approx([2.6464578, 4.3535478], abs=1e-6)


def test_the_second_step_goes_by_both_gradients() -> None:
    # w = (1): m = 0.09 * 1 + 0.1 * 3 = 0.39, v = 0.000999 + 0.009 = 0.009999, free of bias 0.39 / 0.19 = 2.0526316 and
    # 0.009999 / 0.001999 = 5.0020010; without eps the first step is to 0.9, the second by 0.09 * 2.0526316 / 2.2365154
    assert stepped([1], [[1], [3]], eps=0.0).tolist() == pytest.approx([0.9 - 0.0826001], abs=1e-6)


def test_a_weight_of_zeros_leaves_them() -> None:
    assert stepped([0, 0], [[5, -5]], eps=0.0).tolist() == pytest.approx([-0.1 * LEAST_SCALE, 0.1 * LEAST_SCALE])


def test_the_decay_is_not_scaled() -> None:
    plain, decayed = (stepped([30, 40], [[1, 1]], eps=0.0, weight_decay=decay) for decay in (0.0, 0.5))
    assert decayed.tolist() == pytest.approx((plain * (1 - 0.1 * 0.5)).tolist())


def test_the_scale_is_adafactors() -> None:
    for start in ([3.0, 4.0], [1e-6, 0.0], [-100.0, 7.0]):
        weight = nn.Parameter(torch.tensor(start))
        group = {"lr": 1.0, "relative_step": False, "scale_parameter": True, "eps": (1e-30, 1e-3), "warmup_init": False}
        theirs = float(Adafactor._get_lr(group, {"step": 1, "RMS": Adafactor._rms(weight.detach())}))  # type: ignore[no-untyped-call]
        ours = stepped(start, [[1.0, 1.0]], eps=0.0).tolist()[0]
        assert start[0] - ours == pytest.approx(0.1 * theirs, rel=1e-5)


def test_a_state_that_is_saved_goes_on_to_the_last_bit() -> None:
    torch.manual_seed(1)
    gradients = [torch.randn(4, 3) for _ in range(6)]

    def train(stop: int | None) -> Tensor:
        weight = nn.Parameter(torch.ones(4, 3))
        optimizer = ScaledAdamW([weight], lr=0.1)
        for number, gradient in enumerate(gradients):
            if number == stop:
                state = optimizer.state_dict()
                optimizer = ScaledAdamW([weight], lr=0.1)
                optimizer.load_state_dict(state)
            weight.grad = gradient.clone()
            optimizer.step()
        return weight.detach()

    assert torch.equal(train(None), train(3))


def test_weights_without_a_gradient_stay() -> None:
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = ScaledAdamW([first, second], lr=0.1)
    first.grad = torch.ones(2)
    optimizer.step()
    assert second.tolist() == [1, 1]
    assert first.tolist() != [1, 1]

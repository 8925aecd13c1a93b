"""Losses against values worked out by hand, and against torch's own cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch

from finetune.losses import distillation_loss, soft_cross_entropy, soften


def test_soft_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # softmax: (3/4, 1/4), (1/2, 1/2)
    targets = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    first = -0.5 * math.log(3 / 4) - 0.5 * math.log(1 / 4)
    assert soft_cross_entropy(logits, targets).item() == pytest.approx((first + math.log(2)) / 2, abs=1e-6)


def test_one_hot_targets_give_the_usual_cross_entropy() -> None:
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 3, 0, 1])
    hard = torch.nn.functional.cross_entropy(logits, labels)
    for temperature in (1.0, 3.0):  # softening a one-hot target changes nothing
        assert torch.equal(soften(torch.eye(4)[labels], temperature), torch.eye(4)[labels])
    assert distillation_loss(logits, torch.eye(4)[labels]).item() == pytest.approx(hard.item(), abs=1e-6)


def test_soften_is_softmax_at_that_temperature() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    assert torch.allclose(soften(logits.softmax(-1), 2.5), (logits / 2.5).softmax(-1), atol=1e-6)
    assert torch.allclose(soften(torch.tensor([[0.64, 0.36]]), 2.0), torch.tensor([[8 / 14, 6 / 14]]), atol=1e-6)


def test_temperature_by_hand_with_its_square() -> None:
    logits = torch.tensor([[2 * math.log(3.0), 0.0]])  # at T = 2: (3/4, 1/4)
    targets = torch.tensor([[0.64, 0.36]])  # at T = 2: (8/14, 6/14)
    expected = 4 * -(8 / 14 * math.log(3 / 4) + 6 / 14 * math.log(1 / 4))
    assert distillation_loss(logits, targets, 2.0).item() == pytest.approx(expected, abs=1e-5)


def test_no_gradient_where_student_equals_teacher() -> None:
    logits = torch.tensor([[0.3, -0.7, 1.1]], requires_grad=True)
    distillation_loss(logits, logits.detach().softmax(-1), 2.0).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max().item() < 1e-6


def test_a_probability_of_zero_is_no_nan() -> None:
    loss = distillation_loss(torch.tensor([[50.0, -50.0]]), torch.tensor([[1.0, 0.0]]), 2.0)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)

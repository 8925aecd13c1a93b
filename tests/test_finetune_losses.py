"""Losses against values worked out by hand, and against torch's own cross-entropy."""

from __future__ import annotations

import math

import pytest
import torch

from finetune.losses import distillation_loss, multi_label_loss, soft_cross_entropy, soften, soften_each


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


def test_high_temperatures_match_logits() -> None:
    """Hinton et al., eq. 4: where T is large and logits have a mean of 0, the gradient is (z - v) / N; ours is that of
    their loss times T^2, so it does not fade with T."""
    student = torch.tensor([[1.0, -3.0, 2.0]], requires_grad=True)
    teacher = torch.tensor([[-2.0, 0.5, 1.5]])
    distillation_loss(student, teacher.softmax(-1), 1000.0).backward()
    assert student.grad is not None
    assert torch.allclose(student.grad, (student.detach() - teacher) / 3, atol=0.01)


def test_the_published_loss_is_ours_at_temperature_one() -> None:
    """Mean over rows of -sum p log softmax(z), for z = (0, ln 3) and (ln 4, 0): softmax (1/4, 3/4) and (4/5, 1/5)."""
    logits = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    targets = torch.tensor([[0.1, 0.9], [0.7, 0.3]])
    first = -(0.1 * math.log(1 / 4) + 0.9 * math.log(3 / 4))
    second = -(0.7 * math.log(4 / 5) + 0.3 * math.log(1 / 5))
    assert distillation_loss(logits, targets).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_multi_label_loss_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0]])  # sigmoid: 3/4, 1/2
    targets = torch.tensor([[0.9, 0.8]])  # of any sum
    first = -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4))
    assert multi_label_loss(logits, targets).item() == pytest.approx((first + math.log(2)) / 2, abs=1e-6)


def test_multi_label_temperature_by_hand_with_its_square() -> None:
    logits = torch.tensor([[2 * math.log(3.0)]])  # at T = 2: 3/4
    targets = torch.tensor([[0.64]])  # at T = 2: 0.8 / (0.8 + 0.6)
    assert soften_each(targets, 2.0).item() == pytest.approx(4 / 7, abs=1e-6)
    expected = 4 * -(4 / 7 * math.log(3 / 4) + 3 / 7 * math.log(1 / 4))
    assert multi_label_loss(logits, targets, 2.0).item() == pytest.approx(expected, abs=1e-5)
    scores = torch.tensor([[2.0, -1.0, 0.5]])
    assert torch.allclose(soften_each(scores.sigmoid(), 2.5), (scores / 2.5).sigmoid(), atol=1e-6)


def test_two_labels_of_one_text_are_not_at_odds() -> None:
    """The published script took the softmax for several labels as well: a student that says what its teacher says of
    each was punished all the same, and could never say yes to two."""
    logits = torch.tensor([[3.0, 3.0, -3.0]], requires_grad=True)
    targets = logits.detach().sigmoid()  # 0.95, 0.95, 0.05
    multi_label_loss(logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max().item() < 1e-6
    published = soft_cross_entropy(logits, targets)
    (wrong,) = torch.autograd.grad(published, logits)
    assert wrong.abs().max().item() > 0.01
    moved = multi_label_loss(logits + 1.0, targets)
    assert moved.item() > multi_label_loss(logits, targets).item(), "softmax would not see the difference"


def test_certain_labels_are_no_nan() -> None:
    for temperature in (1.0, 2.0):
        loss = multi_label_loss(torch.tensor([[60.0, -60.0]]), torch.tensor([[1.0, 0.0]]), temperature)
        assert loss.item() == pytest.approx(0.0, abs=1e-6)

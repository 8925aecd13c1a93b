"""A 4-bit model on a CPU: evaluating it in the middle of training changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llama import load_nf4, make_adapter, make_llama

from finetune.nf4 import BLOCK, through_nf4

pytestmark = pytest.mark.filterwarnings("ignore")


def gradients(model: Any) -> torch.Tensor:
    model.train()
    model.zero_grad()
    ids = torch.arange(20)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def test_gradients_are_the_same_after_an_evaluation(tmp_path: Path) -> None:
    model = make_adapter(load_nf4(make_llama(tmp_path / "base")), tmp_path / "adapter")
    before = gradients(model)
    model.eval()
    with torch.inference_mode():
        model(input_ids=torch.arange(20)[None])
    assert torch.equal(gradients(model), before)


def test_nf4_by_hand() -> None:
    weight = torch.zeros(1, 2 * BLOCK)
    weight[0, :4] = torch.tensor([8.0, -8.0, 4.0, 0.1])
    weight[0, BLOCK] = 0.5
    back = through_nf4(weight, double_quant=False)
    # the table of QLoRA, times the largest of the block: 1, -1, 0.4407 (nearest to 0.5), 0
    assert back[0, :4].tolist() == pytest.approx([8.0, -8.0, 8 * 0.44070983, 0.0])
    assert back[0, BLOCK] == 0.5

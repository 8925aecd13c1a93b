"""The counts of activations, against tensors that live in a tiny NF4 model while it trains on a CPU."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from finetune import attention
from recipes.activations import CHUNK_LOGIT, checkpoint, gradients, kept, mask
from recipes.architecture import LINEARS, Architecture
from recipes.settings import LOSS_CHUNK, Settings

RANK = 4
SHAPE = Architecture("tiny", hidden=64, intermediate=256, layers=2, heads=4, kv_heads=2, head_dim=16, vocabulary=64)
PLAIN = Settings(1, rank=RANK)


class Live(TorchDispatchMode):
    """Bytes of the tensors that operations have made and that are still there, and the most there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.seen:
            self.seen[key] = size
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.seen.pop(key)


def make_model(layers: int) -> Any:
    """NF4 linear layers, LoRA adapters in float32, the rest in bf16."""
    from bitsandbytes.nn import Linear4bit, Params4bit
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=SHAPE.hidden, intermediate_size=SHAPE.intermediate, num_hidden_layers=layers,
        num_attention_heads=SHAPE.heads, num_key_value_heads=SHAPE.kv_heads, vocab_size=SHAPE.vocabulary,
        attn_implementation="sdpa", use_cache=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    for block in model.model.layers:
        for part in (block.self_attn, block.mlp):
            for name, linear in list(part.named_children()):
                if isinstance(linear, torch.nn.Linear):
                    packed = Linear4bit(linear.in_features, linear.out_features, bias=False, quant_type="nf4")
                    packed.weight = Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4")
                    setattr(part, name, packed.to("cpu"))
    model.is_loaded_in_4bit = True
    adapted = get_peft_model(model, LoraConfig(r=RANK, target_modules=list(LINEARS)))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data, parameter.grad = parameter.data.float(), torch.zeros_like(parameter, dtype=torch.float32)
    return adapted.train()


def live_bytes(layers: int, tokens: int, recompute: bool, padded: bool = False) -> tuple[int, int]:
    """(after the forward pass, at the peak of the backward pass); four packed rows or a padded one, no loss."""
    model = make_model(layers)
    if recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    how: dict[str, Any] = {"attention_mask": torch.ones(1, tokens, dtype=torch.long)}
    how["attention_mask"][0, : tokens // 4] = 0
    if not padded:
        model.base_model.model.set_attn_implementation(attention.NAME)
        each = tokens // 4
        how = {"row_lengths": (each,) * 4, "position_ids": torch.arange(each).repeat(4)[None]}
    with Live() as live:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.base_model.model.model(torch.zeros(1, tokens, dtype=torch.long), **how)[0]
        forward = live.now
        torch.autograd.backward(hidden, torch.zeros_like(hidden))
    return forward, live.most


@pytest.fixture
def as_on_cuda(monkeypatch):
    """peft asks for CUDA's autocast and, not finding it, makes copies that a GPU does not have."""
    asked = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *device: asked(*device) if device else True)


def test_what_a_block_keeps(as_on_cuda):
    few, many = 128, 640
    by_tokens = [live_bytes(3, n, False)[0] - live_bytes(2, n, False)[0] for n in (few, many)]
    counted = (by_tokens[1] - by_tokens[0]) / (many - few)
    assert counted == pytest.approx(kept(SHAPE, PLAIN), rel=0.03)


def test_what_a_block_keeps_where_rows_are_padded(as_on_cuda):
    """Keys and values are repeated, and every block keeps a mask of its own: tokens squared, in bf16."""
    few, many = 128, 640
    by_tokens = [live_bytes(3, n, False, padded=True)[0] - live_bytes(2, n, False, padded=True)[0] for n in (few, many)]
    masked = Settings(1, rank=RANK, masked=True, checkpointing=False)
    masks = [
        mask(replace(SHAPE, layers=1), replace(masked, max_length=n)) - n * n for n in (few, many)
    ]  # without the one that all blocks share
    counted = (by_tokens[1] - by_tokens[0] - (masks[1] - masks[0])) / (many - few)
    assert counted == pytest.approx(kept(SHAPE, masked), rel=0.03)


def test_the_peak_with_checkpointing(as_on_cuda):
    few, many = 128, 640
    counted = (live_bytes(2, many, True)[1] - live_bytes(2, few, True)[1]) / (many - few)
    planned = 2 * checkpoint(SHAPE, PLAIN) + kept(SHAPE, PLAIN) + gradients(SHAPE, PLAIN)
    assert counted == pytest.approx(planned, rel=0.03)


def test_a_logit_of_the_chunked_loss():
    from trl.trainer import sft_trainer

    from finetune.causal_trainer import lean_loss

    assert sft_trainer._CHUNKED_LM_HEAD_CHUNK_SIZE == LOSS_CHUNK

    def most(vocabulary: int, chunk: int) -> int:
        hidden = torch.randn(1, 128, 8, dtype=torch.bfloat16, requires_grad=True)
        head = torch.randn(vocabulary, 8, dtype=torch.bfloat16)
        labels = torch.randint(0, vocabulary, (1, 128))
        with lean_loss(), Live() as live, torch.autocast("cpu", torch.bfloat16):
            sft_trainer._chunked_cross_entropy_loss(hidden, head, chunk, labels=labels)[0].backward()
        return live.most

    grown = [most(3000, chunk) - most(1000, chunk) for chunk in (32, 64)]
    assert (grown[1] - grown[0]) / 2000 / 32 == pytest.approx(CHUNK_LOGIT, rel=0.03)

"""Packed, padded and single rows give one model the same logits, loss and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_llama import make_llama
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, MambaConfig, MambaForCausalLM

from finetune import attention
from finetune.causal_batches import IGNORED, Batching, Steps, counted, labels, packed, padded
from finetune.causal_model import packs_exactly
from finetune.formats import Encoded

ROWS = [
    Encoded([5, 9, 30, 7, 41, 100, 2], 3),
    Encoded([5, 11, 12, 80, 81, 82, 83, 84, 85, 2], 2),
    Encoded([5, 60, 2], 2),
    Encoded(list(range(20, 60)), 10),
]
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("Llama", {}),
    ("Qwen2", {}),
    ("Mistral", {"sliding_window": 6}),
]


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: str(model[0]))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    arch, config = request.param
    folder = make_llama(tmp_path_factory.mktemp(arch), arch=arch, **config)
    return AutoModelForCausalLM.from_pretrained(str(folder), attn_implementation="sdpa").eval()


def logits(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    features = {name: value for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        found: torch.Tensor = model(**features, use_cache=False).logits
    return found


def test_labels_are_the_completion_and_never_the_first_token() -> None:
    assert labels(ROWS[0]) == [IGNORED, IGNORED, IGNORED, 7, 41, 100, 2]
    assert counted(ROWS[0]) == 4
    assert labels(Encoded([4, 2], 0)) == [IGNORED, 2]
    assert counted(Encoded([4, 2], 0)) == 1


def test_padding_is_masked_by_length_whatever_its_id() -> None:
    batch = padded(ROWS[:3], 2)  # 2 is also what ends the rows
    assert batch["input_ids"].shape == (3, 16)
    assert batch["attention_mask"].sum(dim=1).tolist() == [7, 10, 3]
    assert batch["labels"][2].tolist() == [IGNORED, IGNORED, 2] + [IGNORED] * 13


def test_packed_rows_are_as_if_alone(model: Any) -> None:
    vocabulary = model.config.vocab_size
    alone = [logits(model, padded([row], 0))[0, : len(row.input_ids)] for row in ROWS]  # before, by torch's own way
    assert packs_exactly(model, vocabulary)
    assert model.config._attn_implementation == attention.NAME
    together = logits(model, packed(ROWS))[0].split([len(row.input_ids) for row in ROWS])
    difference = max(float((one - other).abs().max()) for one, other in zip(alone, together, strict=True))
    assert difference <= 1e-5
    mixed = packed(ROWS) | {"row_lengths": None}
    assert float((logits(model, mixed)[0][-40:] - alone[-1]).abs().max()) > 1e-2  # else this test would see nothing
    below = logits(model, padded(ROWS, 0))
    assert max(float((below[n, : len(one)] - one).abs().max()) for n, one in enumerate(alone)) <= 1e-5
    model.set_attn_implementation("sdpa")


def test_a_model_whose_rows_would_see_each_other_is_found_out() -> None:
    torch.manual_seed(0)
    mamba = MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4))
    assert not packs_exactly(mamba, 64)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2))
    before = gpt2.config._attn_implementation
    assert packs_exactly(gpt2, 64) or gpt2.config._attn_implementation == before


@pytest.mark.parametrize("capacity", [None, 12, 1000])
def test_steps_hold_each_row_once_and_know_their_tokens(capacity: int | None) -> None:
    steps = Steps(ROWS, Batching(3, 2, capacity, 0), seed=1)
    steps.set_epoch(2)
    places = [place for step in range(len(steps)) for micro in steps[step]["micro"] for place in micro["places"]]
    assert sorted(places) == [0, 1, 2, 3]
    assert sum(steps[step]["tokens"] for step in range(len(steps))) == sum(counted(row) for row in ROWS)
    for step in range(len(steps)):
        under = sum(int((micro["labels"] != IGNORED).sum()) for micro in steps[step]["micro"])
        assert under == steps[step]["tokens"]


def test_a_process_without_a_row_of_the_last_step_takes_part_with_nothing_under_the_loss() -> None:
    batchings = [Batching(2, 1, 1000, 0, rank, 2) for rank in (0, 1)]
    first, second = (Steps(ROWS[:3], batching, seed=1)[1] for batching in batchings)
    assert first["tokens"] == second["tokens"] > 0
    assert int((first["micro"][0]["labels"] != IGNORED).sum()) == first["tokens"]
    assert int((second["micro"][0]["labels"] != IGNORED).sum()) == 0

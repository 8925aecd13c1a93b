"""The model that a student is made of, from a base that is stored in 4 bits already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_causal
import torch
from bitsandbytes.nn import Linear4bit
from tiny_llama import TEXTS, load_nf4, make_llama, make_tokenizer

from finetune.adapters import adapter_effect, load_model
from finetune.bases import Base
from finetune.causal_model import load_causal
from finetune.causal_record import read_causal_record
from finetune.hardware import Machine
from finetune.train import train_student
from recipes.errors import TrainingError

CPU = Machine("cpu", "bf16", "")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base in bfloat16, and the same stored in 4 bits, as unsloth/*-bnb-4bit are."""
    plain, stored = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("stored")
    make_llama(plain, dtype="bfloat16")
    load_nf4(plain, dtype="bfloat16").save_pretrained(stored)
    make_tokenizer().save_pretrained(stored)
    return plain, stored


def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([make_tokenizer()(TEXTS[0]).input_ids])
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return found


def test_a_base_stored_in_4_bits_computes_as_one_that_is_quantised_here(bases: tuple[Path, Path]) -> None:
    here, stored = (load_causal(Base("b", str(folder), None, None), CPU, nf4=True) for folder in bases)
    assert sum(isinstance(part, Linear4bit) for part in stored.modules()) == 14
    assert {part.compute_dtype for part in stored.modules() if isinstance(part, Linear4bit)} == {torch.bfloat16}
    assert torch.equal(logits(stored), logits(here))


def test_it_is_trained_and_answers(bases: tuple[Path, Path], tmp_path: Path) -> None:
    run = tiny_causal.make_run(tmp_path, train=16, validation=4)
    student = {"base": str(bases[1]), "quantization": "nf4", "lora": {"rank": 4, "alpha": 8}, "precision": "bf16",
               "rows": "description", "epochs": 1}  # fmt: skip
    train_student(tiny_causal.make_recipe(a=student), "a", run)
    assert read_causal_record(run, "a").seeds[3407].packed
    assert adapter_effect(load_model(run.student("a", 3407))[0]) > 0


@pytest.mark.parametrize(("told", "sentence"), [
    ({"load_in_4bit": True, "quant_method": "bitsandbytes"}, "is stored in 4 bits: write quantization: nf4, or name"),
    ({"load_in_8bit": True, "quant_method": "bitsandbytes"}, "is stored quantised, and not in bitsandbytes' 4 bits"),
])  # fmt: skip
def test_stored_otherwise_than_asked_is_refused(told: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(hidden_size=64, num_hidden_layers=1)
    config.quantization_config = told
    config.save_pretrained(tmp_path)
    with pytest.raises(TrainingError, match=f"^the base model b {sentence}"):
        load_causal(Base("b", str(tmp_path), None, None), CPU, nf4=False)

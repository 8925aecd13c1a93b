"""Bases of seq2seq students: what is loaded, what is refused, and that a T5 v1.1 stays one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_t5
import torch
from safetensors.torch import load_file, save_file

from finetune import seq2seq_model
from finetune.bases import Base
from finetune.hardware import Machine
from finetune.seq2seq_model import (
    check_positions,
    greedy,
    load_seq2seq,
    load_seq2seq_tokenizer,
    seq2seq_machine,
    skeleton,
)
from recipes.errors import TrainingError
from recipes.seq2seq_memory import token_bytes


def base_of(folder: Path) -> Base:
    return Base("t5", str(folder), None, None)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(
            input_ids=torch.tensor([[5, 6, 1]]), decoder_input_ids=torch.tensor([[0, 7]])
        ).logits
    return found


def test_a_t5_whose_head_is_not_its_embeddings_stays_so(tmp_path: Path) -> None:
    """As google/t5-v1_1 and flan-t5 are: a head of its own, and outputs that are not scaled for it."""
    folder = tiny_t5.make_t5(tmp_path / "t5")
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    weights["lm_head.weight"] = torch.randn_like(weights["shared.weight"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("scale_decoder_outputs", None)
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}), encoding="utf-8")
    model: Any = load_seq2seq(base_of(folder), load_seq2seq_tokenizer(base_of(folder)))
    assert model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr()
    assert torch.equal(model.lm_head.weight[:40], weights["lm_head.weight"][:40])
    model.save_pretrained(tmp_path / "again")
    again: Any = load_seq2seq(base_of(tmp_path / "again"), load_seq2seq_tokenizer(base_of(folder)))
    assert again.lm_head.weight.data_ptr() != again.shared.weight.data_ptr()
    assert torch.equal(logits(model), logits(again))
    assert not again.config.scale_decoder_outputs


def test_what_is_refused(tmp_path: Path) -> None:
    encoder, folder = tiny.make_base(tmp_path / "bert"), tiny_t5.make_t5(tmp_path / "t5")
    tokenizer = load_seq2seq_tokenizer(base_of(folder))
    with pytest.raises(TrainingError, match=r"the base model t5 is an encoder alone \(bert\): name one with a decoder"):
        load_seq2seq(base_of(encoder), tokenizer)
    with pytest.raises(TrainingError, match=r"the tokenizer of t5 has no padding or no end token"):
        load_seq2seq_tokenizer(base_of(encoder))
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"is not whole: 1 of its weights .*decoder\.final_layer_norm\.weight"):
        load_seq2seq(base_of(folder), tokenizer)


def test_positions_that_a_base_does_not_have() -> None:
    student = tiny_t5.make_recipe(a={"max_length": 64, "max_target_length": 32}).seq2seq("a")

    class Config:
        max_position_embeddings = 50

    with pytest.raises(TrainingError, match="a: max_length 64 is more than t5 takes: set it to 50 or less"):
        check_positions("a", student, base_of(Path("t5")), Config())
    check_positions("a", student, base_of(Path("t5")), object())


def test_never_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(precision: str) -> Machine:
        return Machine("cuda", "fp16" if precision == "auto" else "fp32", precision)

    monkeypatch.setattr(seq2seq_model, "find_machine", found)
    assert seq2seq_machine("auto").precision == "fp32"


def test_it_writes_the_likeliest_token_and_nothing_of_the_bases_habits(tmp_path: Path) -> None:
    base = base_of(tiny_t5.make_t5(tmp_path))
    tokenizer = load_seq2seq_tokenizer(base)
    model = load_seq2seq(base, tokenizer)
    how = greedy(model, tokenizer, 9)
    assert (how.num_beams, how.do_sample, how.max_new_tokens, how.max_length) == (1, False, 9, None)
    assert (how.decoder_start_token_id, how.eos_token_id, how.pad_token_id) == (0, 1, 0)


def test_a_skeleton_has_the_dimensions_and_no_weights(tmp_path: Path) -> None:
    base = base_of(tiny_t5.make_t5(tmp_path))
    student = tiny_t5.make_recipe(a={"base": str(tmp_path)}).seq2seq("a")
    tokenizer = load_seq2seq_tokenizer(base)
    bare: Any = skeleton(base, student, tokenizer)
    whole: Any = load_seq2seq(base, tokenizer)
    assert all(weight.is_meta for weight in bare.parameters())
    assert abs(bare.num_parameters() - whole.num_parameters()) <= 64 * 32
    assert token_bytes(bare.config.to_dict(), "bf16") < token_bytes(bare.config.to_dict(), "fp32")

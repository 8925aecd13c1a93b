"""The memory plan of seq2seq students: weights as transformers counts them, what is needed and what is there."""

from __future__ import annotations

import json

import pytest

from recipes.__main__ import main
from recipes.devices import GIB, Device
from recipes.load import load_recipe
from recipes.seq2seq_memory import PROCESS, USED, WEIGHT, token_bytes
from recipes.seq2seq_plan import Seq2seqPlan, plan_seq2seq
from recipes.seq2seq_student import T5Scratch
from recipes.seq2seq_weights import T5_BASE, count_weights, scratch_config

SMALL = {"d_model": 16, "d_ff": 24, "d_kv": 6, "num_heads": 2, "num_layers": 2, "vocab_size": 64}
BART = {
    "d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 20, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 64, "max_position_embeddings": 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("t5", SMALL),
        ("t5", SMALL | {"num_decoder_layers": 3, "relative_attention_num_buckets": 8}),
        ("t5", SMALL | {"feed_forward_proj": "gated-gelu"}),
        ("bart", BART),
    ],
)
def test_weights_are_those_of_transformers(kind, shape):
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(kind, **shape))
    assert count_weights("small", {"model_type": kind, **shape}) == model.num_parameters()


def test_weights_by_hand():
    assert count_weights("t5-base", T5_BASE) == 222_903_552  # as published
    untied = {"model_type": "t5", **SMALL, "tie_word_embeddings": False}
    tied = count_weights("small", untied | {"tie_word_embeddings": True})
    assert count_weights("small", untied) == tied + 16 * 64  # a head of its own, as T5 v1.1 has
    assert count_weights("small", SMALL | {"model_type": "mt5"}) == tied + 16 * 64
    assert scratch_config(T5Scratch(vocabulary=300))["vocab_size"] == 320


def test_what_is_not_known_is_a_sentence():
    assert count_weights("me/x", {"model_type": "pegasus"}) == "me/x is of the kind pegasus; plans know t5, mt5, bart"
    assert "is of the kind that its config.json does not name" in str(count_weights("me/x", {}))
    assert "does not give all sizes" in str(count_weights("me/x", {"model_type": "t5", "d_model": None}))


RECIPE = """
name: reviews
task: atsa
source: {path: rows.jsonl, text: text, aspects: aspects}
students:
  first: {kind: seq2seq, base: google-t5/t5-base, batch_size: 100, max_length: 128, max_target_length: 400}
  next: {kind: seq2seq, base: students.first, seeds: [1, 2, 3, 4]}
  made: {kind: seq2seq, base: scratch}
"""


@pytest.fixture
def recipe(tmp_path):
    rows = [{"text": f"The soup was number {n}.", "aspects": []} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "r.yaml"


def planned(recipe, name, device, *changes) -> Seq2seqPlan:
    found = plan_seq2seq(load_recipe(recipe, list(changes)), name, device)
    assert isinstance(found, Seq2seqPlan), found
    return found


def test_the_plan_says_what_is_needed_and_what_is_there(recipe, capsys):
    assert main(["plan", str(recipe), "--device", "t4"]) == 0
    shown = capsys.readouterr().out
    assert "first: google-t5/t5-base, 223M weights: about 13.0 GiB for a seed in fp32, " in shown
    assert "tokens at once, on T4: 14.5 GiB usable\n" in shown
    assert "next: google-t5/t5-base, 223M weights: " in shown  # the dimensions of what it starts from
    assert "of 4 seeds at a time" in shown
    assert "made: scratch, " in shown
    assert main(["plan", str(recipe), "--device", "t4", "--set", "students.first.base=nobody/nothing"]) == 0
    assert "first: no memory plan: the config.json of nobody/nothing is not on this disk" in capsys.readouterr().out


def test_tokens_are_what_a_gpu_has_room_for(recipe):
    big, small = (planned(recipe, "first", Device("GPU", size)) for size in (80.0, 14.5))
    assert (big.tokens, big.precision, big.at_once) == (1 << 14, "bf16", 1)
    each = token_bytes(T5_BASE, "bf16")
    assert big.needed == PROCESS + WEIGHT * 222_903_552 + each * (1 << 14)
    assert small.tokens < big.tokens
    assert small.needed + each > USED * 14.5 * GIB - each
    assert big.fits
    assert small.fits


def test_what_does_not_fit_says_what_to_change(recipe):
    tiny = planned(recipe, "first", Device("GPU", 2.0))
    assert (tiny.tokens, tiny.fits) == (512, False)
    assert tiny.line().endswith("; more than there is: take a smaller base, or another device")
    processor = planned(recipe, "first", Device("CPU", 8.0, bf16=False, gpu=False))
    assert "lower batch_size, max_length or max_target_length" in processor.line()
    several = planned(recipe, "next", Device("GPU", 8.0), "students.next.parallel=4")
    assert several.line().endswith("; 4 of 4 seeds at a time; more than there is: lower parallel")
    assert planned(recipe, "next", Device("GPU", 40.0)).at_once == 4
    assert planned(recipe, "first", Device("CPU", None, gpu=False)).fits

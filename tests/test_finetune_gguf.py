"""GGUF files: read back they are the model and the tokenizer that went in; what would read back wrong is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import LLAMA3, QWEN2, TEMPLATE, TEXTS, load_plain, make_llama, make_tokenizer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM

from finetune.gguf_export import export_gguf
from finetune.gguf_tensors import permute
from finetune.gguf_tokenizer import read_tokenizer
from finetune.parity import answer, compare
from recipes.errors import TrainingError

pytestmark = pytest.mark.filterwarnings("ignore")
LLAMA31 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("model") / "llama", "float16")


def fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def tensors(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize(
    ("arch", "config"),
    [("Llama", {}), ("Llama", {"tie_word_embeddings": True}), ("Mistral", {"sliding_window": None}), ("Qwen2", {})],
)
def test_f16_reads_back_as_the_same_model(tmp_path: Path, arch: str, config: dict[str, Any]) -> None:
    folder = make_llama(tmp_path / "model", "float16", arch=arch, **config)
    made = export_gguf(folder, tmp_path / "out" / "model.gguf", "f16")
    read = AutoModelForCausalLM.from_pretrained(made.path.parent, gguf_file=made.path.name, dtype=torch.float32).eval()
    tokenizer = make_tokenizer(QWEN2 if arch == "Qwen2" else LLAMA3)
    prompts = [tokenizer(text).input_ids for text in TEXTS]
    parity = compare(answer(load_plain(folder), prompts, 16), answer(read, prompts, 16))
    assert parity.largest_difference <= 1e-3
    assert (parity.same_top, parity.same_tokens, parity.places) == (1.0, 1.0, sum(map(len, prompts)))
    assert read.config.rope_parameters["rope_theta"] == 500000.0
    assert read.config.tie_word_embeddings is config.get("tie_word_embeddings", False)


@pytest.mark.parametrize(("kind", "steps", "head"), [("q8_0", 127, "Q8_0"), ("q4_0", 8, "Q8_0")])
def test_packed_weights_are_within_a_step(model: Path, tmp_path: Path, kind: Any, steps: int, head: str) -> None:
    plain = tensors(export_gguf(model, tmp_path / "f16.gguf", "f16").path)
    packed = tensors(export_gguf(model, tmp_path / "packed.gguf", kind).path)
    assert plain.keys() == packed.keys()
    assert packed["output.weight"].tensor_type.name == head
    for name, tensor in packed.items():
        exact = gguf.dequantize(plain[name].data, plain[name].tensor_type)
        back = gguf.dequantize(tensor.data, tensor.tensor_type)
        if exact.ndim == 1:
            assert tensor.tensor_type.name == "F32"
            assert np.array_equal(back, exact)
        elif name not in ("output.weight", "token_embd.weight"):
            assert tensor.tensor_type.name == kind.upper()
            blocks = exact.reshape(-1, 32)
            step = np.abs(blocks).max(axis=1, keepdims=True) / steps
            # q4_0 has -8 to 7: what is near +8 is cut to 7, a whole step off; a scale in float16 adds a little
            most = step * (0.57 if steps == 127 else 1.01)
            assert (np.abs(back.reshape(-1, 32) - blocks) <= most).all()


def test_tied_embeddings_are_packed_as_the_head_they_are(tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "model", "float16", tie_word_embeddings=True)
    made = export_gguf(folder, tmp_path / "m.gguf", "q4_0")
    assert "output.weight" not in tensors(made.path)
    assert tensors(made.path)["token_embd.weight"].tensor_type.name == "Q8_0"
    assert made.tensors == {"Q8_0": 1, "Q4_0": 14, "F32": 5}
    assert made.bytes == made.path.stat().st_size


def test_rows_that_are_no_blocks_stay_f16_and_are_said(tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "model", "float16", intermediate_size=72)
    made = export_gguf(folder, tmp_path / "m.gguf", "q8_0")
    assert made.tensors == {"Q8_0": 14, "F16": 2, "F32": 5}
    assert made.notes == (
        "2 tensors have rows that are no multiple of 32 (blk.0.ffn_down.weight, blk.1.ffn_down.weight): they stay f16",
    )


def test_permutation_by_hand() -> None:
    rows = torch.arange(8).reshape(8, 1)  # two heads of four rows: halves 0 1 | 2 3 and 4 5 | 6 7
    assert permute(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_rope_scaling_of_llama_3_1(tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "model", "float16", rope_parameters=LLAMA31)
    factors = tensors(export_gguf(folder, tmp_path / "m.gguf", "f16").path)["rope_freqs.weight"].data
    # head of 16: frequencies 10000^(-i/8), waves 2 pi / f; waves under 64/4 stay, over 64/1 are stretched 8 times,
    # between them 1 / ((1 - s) / 8 + s) with s = (64 / wave - 1) / 3
    expected = []
    for i in range(8):
        wave = 2 * np.pi * 10000 ** (i / 8)
        smooth = (64 / wave - 1) / 3
        expected.append(1 if wave < 16 else 8 if wave > 64 else 1 / ((1 - smooth) / 8 + smooth))
    assert factors.tolist() == pytest.approx(expected, rel=1e-5)
    assert factors[0] == 1 and factors[-1] == pytest.approx(8)


def test_header_says_how_to_start_stop_and_talk(model: Path, tmp_path: Path) -> None:
    made = export_gguf(model, tmp_path / "m.gguf", "f16", name="tiny")
    found = fields(made.path)
    assert {
        "general.name": "tiny", "general.architecture": "llama", "llama.block_count": 2, "llama.context_length": 256,
        "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2, "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 500000.0, "llama.vocab_size": 512, "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 5, "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False, "tokenizer.chat_template": TEMPLATE,
    }.items() <= found.items()  # fmt: skip
    assert len(found["tokenizer.ggml.tokens"]) == 512
    other = export_gguf(model, tmp_path / "n.gguf", "f16", chat_template="{{ messages[-1]['content'] }}")
    assert fields(other.path)["tokenizer.chat_template"] == "{{ messages[-1]['content'] }}"
    assert "tokenizer.ggml.eot_token_id" not in found
    for end, known in ((4, 4), (1, None)):  # <|eot_id|>, and EOS
        ended = export_gguf(model, tmp_path / "e.gguf", "f16", end_of_turn=end)
        assert fields(ended.path).get("tokenizer.ggml.eot_token_id") == known


def rebuilt(path: Path, pattern: str | None) -> Any:
    """A tokenizer from what the file says, as a reader who knows the rule `tokenizer.ggml.pre` would make it."""
    found = fields(path)
    kinds, tokens = found["tokenizer.ggml.token_type"], found["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in found["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
    made.pre_tokenizer = pre_tokenizers.Sequence([*split, level])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == 3])
    made.add_tokens([AddedToken(t, special=False) for t, kind in zip(tokens, kinds, strict=True) if kind == 4])
    return made


@pytest.fixture(scope="module", params=[("llama-bpe", LLAMA3), ("qwen2", QWEN2), ("gpt-2", None)], ids=lambda p: p[0])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A tokenizer, and the one rebuilt from the GGUF file of its model."""
    rule, pattern = request.param
    folder = make_llama(tmp_path_factory.mktemp(rule) / "model", "float16")
    own = make_tokenizer(pattern)
    own.save_pretrained(folder)
    made = export_gguf(folder, folder.parent / "m.gguf", "f16")
    assert (made.tokenizer.rule, made.notes) == (rule, ())
    return own, rebuilt(made.path, pattern)


def test_tokens_are_the_same(pair: tuple[Any, Any]) -> None:
    own, read = pair
    for text in [*TEXTS, "  two leading spaces", "<think>so</think><|eot_id|>\n<|start_header_id|>user", "", "\n\n \t"]:
        ids = own(text, add_special_tokens=False).input_ids
        assert read.encode(text).ids == ids
        assert read.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=150)
@given(st.text(st.sampled_from("ab 12'sT\n\t<>|é日🎧\u0301\u00a0") | st.characters(codec="utf-8"), max_size=40))
def test_tokens_of_any_text_are_the_same(pair: tuple[Any, Any], text: str) -> None:
    own, read = pair
    assert read.encode(text).ids == own(text, add_special_tokens=False).input_ids


def test_kinds_and_filled_ids(model: Path) -> None:
    found = read_tokenizer(model, 600)
    by_token = dict(zip(found.tokens, found.kinds, strict=True))
    assert len(found.tokens) == 600
    assert by_token["<|eot_id|>"] == 3 and by_token["<think>"] == 4 and by_token["a"] == 1
    assert found.tokens[599] == "[PAD599]" and found.kinds[599] == 5
    with pytest.raises(TrainingError, match="not its own"):
        read_tokenizer(model, 100)


def changed(model: Path, folder: Path, change: Any) -> Path:
    """A copy of a model whose tokenizer.json was changed."""
    shutil.copytree(model, folder)
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(described)
    (folder / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def test_what_llama_cpp_reads_otherwise_is_said(model: Path, tmp_path: Path) -> None:
    def change(described: dict[str, Any]) -> None:
        described["normalizer"] = {"type": "NFC"}
        described["added_tokens"][3]["rstrip"] = True
        described["model"]["merges"].reverse()  # tokens that their own merges no longer lead to

    notes = " ".join(read_tokenizer(changed(model, tmp_path / "m", change), 512).notes)
    assert "NFC" in notes and "<|end_header_id|>" in notes and "ignore_merges" in notes


def test_unknown_tokenizers_are_refused(model: Path, tmp_path: Path) -> None:
    def other_rule(described: dict[str, Any]) -> None:
        described["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W+"

    with pytest.raises(TrainingError, match=r"rule that is not known here \(\\w\+"):
        export_gguf(changed(model, tmp_path / "rule", other_rule), tmp_path / "m.gguf")

    def sentencepiece(described: dict[str, Any]) -> None:
        described["pre_tokenizer"] = {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "first",
            "split": False,
        }

    with pytest.raises(TrainingError, match="no byte-level BPE"):
        export_gguf(changed(model, tmp_path / "spm", sentencepiece), tmp_path / "m.gguf")
    shutil.copytree(model, tmp_path / "endless")
    config = json.loads((model / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (tmp_path / "endless" / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="no EOS"):
        export_gguf(tmp_path / "endless", tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "is GemmaForCausalLM: GGUF is written for LlamaForCausalLM"),
        ({"hidden_act": "gelu"}, "silu"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "dynamic"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "merge it first"),
    ],
)
def test_models_that_llama_cpp_would_compute_otherwise_are_refused(
    model: Path, tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    shutil.copytree(model, tmp_path / "m")
    old = json.loads((model / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(old | config))
    with pytest.raises(TrainingError, match=said):
        export_gguf(tmp_path / "m", tmp_path / "m.gguf")


def test_interrupted_export_leaves_the_old_file(model: Path, tmp_path: Path) -> None:
    before = export_gguf(model, tmp_path / "m.gguf", "f16").path.read_bytes()

    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_gguf(model, tmp_path / "m.gguf", "q8_0", progress=stop)
    assert (tmp_path / "m.gguf").read_bytes() == before

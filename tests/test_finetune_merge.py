"""Merging: the merged model is the adapter on its NF4 base, whatever its settings; what cannot be merged is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_llama import load_nf4, load_plain, logits, make_adapter, make_llama
from transformers import AutoTokenizer

from finetune.merge import merge_adapter
from finetune.shards import INDEX, open_weights
from recipes.errors import TrainingError

pytestmark = pytest.mark.filterwarnings("ignore")  # bitsandbytes, peft and torch warn of each other


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llama(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    make_adapter(load_nf4(base), folder)
    return folder


def relative(reference: Any, folder: Path, tokenizer: Any) -> float:
    """Greatest difference of a merged model's logits, as a share of the largest logit."""
    expected = logits(reference, tokenizer)
    return float((logits(load_plain(folder), tokenizer) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("float16", 0.005), ("bfloat16", 0.03)])
def test_merged_is_the_adapter_on_its_nf4_base(
    base: Path, tokenizer: Any, tmp_path: Path, dtype: Any, most: float
) -> None:
    tuned = make_adapter(load_nf4(base), tmp_path / "adapter")
    before = logits(tuned, tokenizer)
    merged = merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", dtype)
    assert merged.layers == merged.dequantised == 14
    assert relative(tuned, merged.folder, tokenizer) <= most
    unmerged = logits(load_plain(base), tokenizer)
    assert (before - unmerged).abs().max() > 0.3 * before.abs().max()  # the adapter does something
    config = json.loads((merged.folder / "config.json").read_text())
    assert config["dtype"] == dtype and "quantization_config" not in config
    assert AutoTokenizer.from_pretrained(merged.folder).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True, "r": 4},
        {"r": 4, "rank_pattern": {"q_proj": 8, "layers.1.mlp.down_proj": 2}, "alpha_pattern": {"q_proj": 3}},
        {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
    ],
)
def test_scale_and_rank_of_each_layer_are_kept(
    base: Path, tokenizer: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    tuned = make_adapter(load_nf4(base), tmp_path / "adapter", **settings)
    merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", "float32")
    assert relative(tuned, tmp_path / "merged", tokenizer) <= 1e-5


def test_one_weight_by_hand(base: Path, adapter: Path, tmp_path: Path) -> None:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    name = "model.layers.1.self_attn.k_proj"
    merge_adapter(base, adapter, tmp_path / "merged", "bfloat16", trained_in="bfloat16")
    half = load_file(base / "model.safetensors")[f"{name}.weight"].bfloat16()
    rounded = dequantize_4bit(*quantize_4bit(half, quant_type="nf4", compress_statistics=True)).float()
    parts = load_file(adapter / "adapter_model.safetensors")
    a, b = (parts[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    expected = (rounded + 16 / 8 * (b @ a)).bfloat16()
    made = load_file(tmp_path / "merged" / "model.safetensors")[f"{name}.weight"]
    assert torch.equal(made, expected) or (made != expected).float().mean() < 0.01  # the order of the sums may differ


def test_single_quantised_scales(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    tuned = make_adapter(load_nf4(base, double_quant=False), tmp_path / "adapter")
    merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", "float32", double_quant=False)
    assert relative(tuned, tmp_path / "merged", tokenizer) <= 1e-5


def test_base_in_4_bits_on_disk(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    load_nf4(base, "bfloat16").save_pretrained(tmp_path / "packed")
    assert any(name.endswith("bitsandbytes__nf4") for name in open_weights(tmp_path / "packed").places)
    tuned = make_adapter(load_nf4(tmp_path / "packed"), tmp_path / "adapter")
    merge_adapter(tmp_path / "packed", tmp_path / "adapter", tmp_path / "merged", "float32", trained_in="float32")
    assert relative(tuned, tmp_path / "merged", tokenizer) <= 1e-5


def test_unquantised_base_and_tied_head(tmp_path: Path) -> None:
    base = make_llama(tmp_path / "base", tie_word_embeddings=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tuned = make_adapter(load_plain(base), tmp_path / "adapter")
    merged = merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", "float32", quantised=False)
    assert merged.dequantised == 0
    assert "lm_head.weight" not in open_weights(merged.folder).places
    assert relative(tuned, merged.folder, tokenizer) <= 1e-5


def test_shards_are_small_and_hold_everything(base: Path, adapter: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    merged = merge_adapter(
        base, adapter, tmp_path / "m", "float16", shard_bytes=100_000, progress=lambda *at: seen.append(at)
    )
    assert len(merged.files) > 2 and merged.bytes == sum(file.stat().st_size for file in merged.files)
    assert all(sum(t.nbytes for t in load_file(file).values()) <= 100_000 for file in merged.files)
    assert seen == [(done, 21) for done in range(1, 22)]
    index = json.loads((merged.folder / INDEX).read_text())
    assert sorted(index["weight_map"]) == sorted(open_weights(base).places)
    assert load_plain(merged.folder).config.vocab_size == 512
    whole = merge_adapter(base, adapter, tmp_path / "m", "float16")  # over the first one: its shards are gone
    assert [file.name for file in whole.files] == ["model.safetensors"]
    assert sorted(file.name for file in merged.folder.glob("model*")) == ["model.safetensors"]


def test_interrupted_merge_cannot_be_taken_for_a_model(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "m")

    def stop(done: int, _: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_adapter(base, adapter, tmp_path / "m", progress=stop)
    assert not (tmp_path / "m" / "config.json").exists()


def change_config(adapter: Path, folder: Path, **settings: Any) -> Path:
    shutil.copytree(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"use_dora": True}, "use_dora"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"bias": "all"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 16}, "rank 8"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    base: Path, adapter: Path, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        merge_adapter(base, change_config(adapter, tmp_path / "a", **settings), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_wrong_base_and_wrong_folders(base: Path, adapter: Path, tmp_path: Path) -> None:
    other = make_llama(tmp_path / "other", num_key_value_heads=4)
    with pytest.raises(TrainingError, match=r"does not fit .* 32 x 64, which is 64 x 64"):
        merge_adapter(other, adapter, tmp_path / "m")
    with pytest.raises(TrainingError, match="written over its base"):
        merge_adapter(base, adapter, base)
    with pytest.raises(TrainingError, match="is no adapter"):
        merge_adapter(base, other, tmp_path / "m")
    with pytest.raises(TrainingError, match="is no folder and cannot be got from the Hub"):
        merge_adapter("nobody/no-such-model", adapter, tmp_path / "m")


def test_damaged_base_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "cut")
    tensors = load_file(base / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "cut" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"not whole: 1 of its tensors .*model.norm.weight"):
        merge_adapter(tmp_path / "cut", adapter, tmp_path / "m")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(TrainingError, match="cannot be read"):
        merge_adapter(tmp_path / "cut", adapter, tmp_path / "m")
    (tmp_path / "cut" / "model.safetensors").rename(tmp_path / "cut" / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="pickled"):
        merge_adapter(tmp_path / "cut", adapter, tmp_path / "m")


def test_values_that_float16_cannot_hold(base: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "big")
    tensors = load_file(base / "model.safetensors")
    tensors["model.embed_tokens.weight"][3, 3] = 1e5
    save_file(tensors, tmp_path / "big" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"embed_tokens.* float16 cannot hold: merge to bfloat16"):
        merge_adapter(tmp_path / "big", adapter, tmp_path / "m")
    merge_adapter(tmp_path / "big", adapter, tmp_path / "m", "bfloat16")


def test_full_disk_is_said_before_anything_is_written(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match="free"):
        merge_adapter(base, adapter, tmp_path / "m")

"""Dimensions from a config.json: counted as transformers counts, refused in a sentence where they cannot be told."""

from __future__ import annotations

import json

import pytest

from recipes.architecture import KINDS, LINEARS, Architecture, read_architecture
from recipes.base_configs import LLAMA_3_8B, SHIPPED, find_architecture

SMALL = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip
TINY = Architecture("tiny", hidden=8, intermediate=12, layers=2, heads=2, kv_heads=1, head_dim=4, vocabulary=10)


def config(kind: str = "llama", **changes) -> dict:
    return {"model_type": kind, **SMALL, **changes}


def test_counts_by_hand():
    attention = 8 * 8 + 2 * 8 * 4 + 8 * 8  # q, k and v, o
    assert TINY.linear_parameters == 2 * (attention + 3 * 8 * 12)
    assert TINY.other_parameters == 2 * 10 * 8 + 8 + 2 * 2 * 8  # embedding, head; last norm; two norms a block
    assert TINY.parameters == TINY.linear_parameters + TINY.other_parameters
    assert TINY.adapter_parameters(3, ("q_proj", "k_proj")) == 2 * (3 * (8 + 8) + 3 * (8 + 4))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"head_dim": 16}),
        ("mistral", {"head_dim": None}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 16, "attention_bias": True}),
        ("qwen3", {}),
        ("smollm3", {"pad_token_id": 0}),
        ("granite", {"mlp_bias": True, "tie_word_embeddings": True}),
    ],
)
def test_parameters_are_those_of_transformers(kind, changes):
    from transformers import AutoConfig, AutoModelForCausalLM

    made = AutoConfig.for_model(kind, **SMALL, **changes)
    model = AutoModelForCausalLM.from_config(made)
    for written in (
        made.to_dict(),
        config(kind, **changes),
    ):  # as saved, and with defaults left out
        found = read_architecture("small", written)
        assert isinstance(found, Architecture), found
        assert found.parameters == model.num_parameters()
    linears = [value for name, value in model.named_parameters() if name.split(".")[-2] in LINEARS and value.ndim == 2]
    assert found.linear_parameters == sum(value.numel() for value in linears)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind_are_packed_and_so_planned_without_a_mask(kind):
    from transformers import AutoConfig, AutoModelForCausalLM

    from finetune.causal_model import packs_exactly

    changes = {"pad_token_id": 0} if kind == "smollm3" else {}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL, **changes))
    assert packs_exactly(model, SMALL["vocab_size"])


def test_adapters_are_those_of_peft():
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SMALL))
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"]))
    trained, _ = adapted.get_nb_trainable_parameters()
    found = read_architecture("small", config())
    assert isinstance(found, Architecture)
    assert found.adapter_parameters(4, ("q_proj", "v_proj", "down_proj")) == trained


@pytest.mark.parametrize("base", SHIPPED)
def test_the_bases_of_the_shipped_recipes_need_no_network(base, tmp_path):
    found = find_architecture(base, tmp_path)
    assert isinstance(found, Architecture) and found.name == base
    assert found.parameters == 8_030_261_248  # what the model cards of Llama 3 8B count
    assert LLAMA_3_8B.adapter_parameters(16, LINEARS) == 41_943_040  # what unsloth prints for rank 16


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (config("gpt2"), "small is of the kind gpt2; plans know llama, mistral, qwen2, qwen3, smollm3, granite"),
        ({}, "small is of the kind that its config.json does not name"),
        (config(vocab_size=None), "gives no size for vocab_size"),
        (config(num_attention_heads=0), "gives no size for num_attention_heads"),
        (config(head_dim="64"), "gives no size for head_dim"),
        (config(hidden_size=True), "gives no size for hidden_size"),
        (config(quantization_config={"quant_method": "gptq"}), "quantised by gptq; a plan needs the 16-bit model"),
        (config(quantization_config={"load_in_8bit": True}), "quantised by bitsandbytes to 8 bits"),
    ],
)
def test_what_cannot_be_planned_is_said(told, sentence):
    found = read_architecture("small", told)
    assert isinstance(found, str) and sentence in found


def test_a_base_stored_in_4_bits_is_read_as_the_model_it_was():
    stored = config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    assert read_architecture("small", stored) == read_architecture("small", config())


def test_a_folder_is_read(tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    assert find_architecture("base", tmp_path) == "base holds no config.json"
    (folder / "config.json").write_text(json.dumps(config()), encoding="utf-8")
    found = find_architecture("base", tmp_path)
    assert isinstance(found, Architecture) and found.hidden == 32
    (folder / "config.json").write_text("[", encoding="utf-8")
    assert "cannot be read as JSON" in str(find_architecture("base", tmp_path))
    (folder / "config.json").write_text("[]", encoding="utf-8")
    assert "no JSON object" in str(find_architecture("base", tmp_path))
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert find_architecture("base", tmp_path) == "base holds an adapter, not a whole model"


@pytest.mark.parametrize("base", ["./nothing", "~/nothing-here", "a/b/c", "/nowhere"])
def test_a_folder_that_is_not_there(base, tmp_path):
    assert str(find_architecture(base, tmp_path)).startswith("there is no folder ")


def test_offline_and_not_in_the_cache_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sentence = find_architecture("somebody/something", tmp_path)
    assert isinstance(sentence, str) and "is not on this disk" in sentence and "offline" in sentence
    assert "neither a folder here nor a name" in str(find_architecture("not a name!", tmp_path))


def test_the_cache_of_the_hub_is_read(monkeypatch, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config("qwen2")), encoding="utf-8")
    asked = []

    def cached(base, file, revision=None):
        asked.append((base, file, revision))
        return str(path)

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    found = find_architecture("somebody/something", tmp_path, revision="abc")
    assert isinstance(found, Architecture) and found.biased == ("q_proj", "k_proj", "v_proj")
    assert asked == [("somebody/something", "config.json", "abc")]


def test_a_hub_that_refuses_is_said_in_one_line(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("recipes.base_configs.socket.getaddrinfo", refuse)
    monkeypatch.setattr("recipes.base_configs.getproxies", dict)
    assert "offline it cannot be had" in str(find_architecture("somebody/something", tmp_path))
    monkeypatch.setattr("recipes.base_configs.getproxies", lambda: {"https": "http://127.0.0.1:1"})
    sentence = find_architecture("somebody/something", tmp_path)
    assert sentence == "the config.json of somebody/something cannot be had from the Hub (no route to host)"

"""How many weights an encoder with a decoder has, from its config.json alone; a test holds them to transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipes.seq2seq_student import T5Scratch

KINDS = ("t5", "mt5", "bart")
"""model_type of those that are known."""
T5_BASE: dict[str, Any] = {
    "model_type": "t5", "d_model": 768, "d_ff": 3072, "d_kv": 64, "num_heads": 12, "num_layers": 12,
    "vocab_size": 32128,
}  # fmt: skip
"""The base that recipes/fsa.yaml names: a plan for it needs no network."""


def count_weights(name: str, config: Mapping[str, Any]) -> int | str:
    """The weights of a base, each counted once; or a sentence on why they cannot be told."""
    kind = config.get("model_type")
    count = {"t5": _t5, "mt5": _t5, "bart": _bart}.get(str(kind))
    if count is None:
        return f"{name} is of the kind {kind or 'that its config.json does not name'}; plans know {', '.join(KINDS)}"
    try:
        return count(config)
    except (KeyError, TypeError, ValueError):
        return f"the config.json of {name} does not give all sizes: it is damaged or not of the kind {kind}"


def scratch_config(shape: T5Scratch) -> dict[str, Any]:
    """What `base: scratch` makes, as a config.json has it."""
    return {
        "model_type": "t5", "d_model": shape.hidden, "d_ff": shape.intermediate, "d_kv": shape.hidden // shape.heads,
        "num_heads": shape.heads, "num_layers": shape.layers, "vocab_size": -(-shape.vocabulary // 64) * 64,
    }  # fmt: skip


def _t5(config: Mapping[str, Any]) -> int:
    width, heads = int(config["d_model"]), int(config["num_heads"])
    encoder = int(config["num_layers"])
    decoder = int(config.get("num_decoder_layers") or encoder)
    attention = 4 * width * heads * int(config["d_kv"])
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated")
    block = attention + (3 if gated else 2) * width * int(config["d_ff"]) + 2 * width
    places = int(config.get("relative_attention_num_buckets", 32)) * heads
    tied = config.get("tie_word_embeddings", config["model_type"] == "t5")
    embeddings = (1 if tied else 2) * int(config["vocab_size"]) * width
    return embeddings + encoder * block + decoder * (block + attention + width) + 2 * (places + width)


def _bart(config: Mapping[str, Any]) -> int:
    width = int(config["d_model"])
    attention, norm = 4 * (width * width + width), 2 * width
    sides = 0
    for side, attentions in (("encoder", 1), ("decoder", 2)):
        inner = int(config[f"{side}_ffn_dim"])
        block = attentions * (attention + norm) + 2 * width * inner + inner + width + norm
        places = (int(config["max_position_embeddings"]) + 2) * width + norm
        sides += int(config[f"{side}_layers"]) * block + places
    return int(config["vocab_size"]) * width + sides

"""The dimensions of a causal language model of the Llama family, read from its config.json; no weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipes.students import Scratch

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of one block, as checkpoints name them."""
_ATTENTION, _MLP = LINEARS[:4], LINEARS[4:]

_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
KINDS = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite")
"""model_type of the models that are built so: their parameter counts are held by a test against transformers."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A stack of equal blocks, each attention and a gated MLP, between an embedding and a head.

    name: what messages call it. head_dim: width of one head. biased: the linear layers with a bias. qk_norm: queries
    and keys are normalised (Qwen3). tied: the head is the embedding.
    """

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = False
    biased: tuple[str, ...] = ()
    qk_norm: bool = False

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_dim

    def shape(self, linear: str) -> tuple[int, int]:
        """(inputs, outputs) of one of LINEARS."""
        return {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }[linear]

    @property
    def linear_parameters(self) -> int:
        """Weights of the linear layers of all blocks: what NF4 quantises. Biases and the head are not among them."""
        return self.layers * sum(inputs * outputs for inputs, outputs in map(self.shape, LINEARS))

    @property
    def head_parameters(self) -> int:
        """Of the head; with tied embeddings they are the embedding's."""
        return self.vocabulary * self.hidden

    @property
    def other_parameters(self) -> int:
        """Embedding, head, norms and biases: what stays in 16 bits when the linear layers are quantised."""
        ends = self.head_parameters * (1 if self.tied else 2)
        block = 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        return ends + self.hidden + self.layers * (block + sum(self.shape(name)[1] for name in self.biased))

    @property
    def parameters(self) -> int:
        """All of them, as `model.num_parameters()` counts."""
        return self.linear_parameters + self.other_parameters

    def adapter_parameters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Weights of LoRA adapters: two matrices, rank x inputs and outputs x rank, beside each target."""
        return self.layers * sum(rank * sum(self.shape(name)) for name in LINEARS if name in targets)


def scratch_architecture(shape: Scratch) -> Architecture:
    """What `base: scratch` makes."""
    return Architecture(
        "scratch", shape.hidden, shape.intermediate, shape.layers, shape.heads, shape.kv_heads,
        shape.hidden // shape.heads, shape.vocabulary, tied=True,
    )  # fmt: skip


def read_architecture(name: str, config: Mapping[str, Any]) -> Architecture | str:
    """The architecture that a config.json tells of, or a sentence on why no plan can be made from it."""
    kind = config.get("model_type")
    if kind not in KINDS:
        return f"{name} is of the kind {kind or 'that its config.json does not name'}; plans know {', '.join(KINDS)}"
    quantised = _other_quantisation(config)
    if quantised:
        return f"{name} is quantised by {quantised}; a plan needs the 16-bit model or a bitsandbytes 4-bit one"
    wrong = [key for key in _SIZES if not _is_size(config.get(key))]
    wrong += [key for key in ("num_key_value_heads", "head_dim") if not _is_size(config.get(key) or 1)]
    if wrong:
        return f"the config.json of {name} gives no size for {wrong[0]}: it is damaged or not of the kind {kind}"
    hidden, intermediate, layers, heads, vocabulary = (int(config[key]) for key in _SIZES)
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or (128 if kind == "qwen3" else hidden // heads)
    return Architecture(
        name, hidden, intermediate, layers, heads, kv_heads, head_dim, vocabulary,
        bool(config.get("tie_word_embeddings", kind == "smollm3")), _biased(kind, config), kind == "qwen3",
    )  # fmt: skip


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _biased(kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    if kind == "qwen2":
        return LINEARS[:3]
    if kind == "mistral":
        return ()
    attention = _ATTENTION if config.get("attention_bias") else ()
    return attention + (_MLP if config.get("mlp_bias") and kind != "qwen3" else ())


def _other_quantisation(config: Mapping[str, Any]) -> str | None:
    """The method of a checkpoint that is quantised otherwise than to bitsandbytes' 4 bits."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping) or found.get("load_in_4bit") or found.get("_load_in_4bit"):
        return None
    return "bitsandbytes to 8 bits" if found.get("load_in_8bit") else str(found.get("quant_method", "another method"))

"""A merged model as one GGUF file, for llama.cpp and Ollama (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.base_weights import read_config
from finetune.gguf_tensors import Kind, Plan, pack, plan_tensors, rope_factors
from finetune.gguf_tokenizer import GgufTokenizer, read_tokenizer
from finetune.shards import open_weights
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PretrainedConfig

_ARCHITECTURES = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}  # fmt: skip
_FILE_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 7}  # gguf.LlamaFileType
_ROPES = ("default", "llama3", "linear", "yarn")


@dataclass(frozen=True)
class GgufFile:
    """A file that was written. tensors: how many of each packing; notes: sentences for the user, empty mostly."""

    path: Path
    kind: Kind
    bytes: int
    tensors: dict[str, int]
    tokenizer: GgufTokenizer
    notes: tuple[str, ...]


def export_gguf(
    model: Path,
    out: Path,
    kind: Kind = "q8_0",
    *,
    name: str | None = None,
    chat_template: str | None = None,
    starts_with_bos: bool | None = None,
    end_of_turn: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GgufFile:
    """Write the model folder `model` (16 or 32 bits, not quantised) to the file `out`.

    name: what programs show; the folder's name without it. chat_template: Jinja, in place of the tokenizer's own where
    the model was trained with another format. starts_with_bos: whether the prompts of its training begin with BOS, by
    which llama.cpp and Ollama put one before every prompt or none; as the tokenizer does without it. end_of_turn: the
    token that ends an answer, where it is not EOS: llama.cpp guesses it by well-known names otherwise.
    progress: told tensors done and tensors in all.
    Raises TrainingError for an architecture, tokenizer or scaling that is not known to read back right.
    """
    import gguf

    config = read_config(model)
    arch = _check(model, config)
    tokenizer = read_tokenizer(model, config.vocab_size)
    if chat_template is not None:
        tokenizer = replace(tokenizer, chat_template=chat_template)
    if starts_with_bos is not None:
        tokenizer = replace(tokenizer, adds_bos=starts_with_bos)
    tokenizer = replace(tokenizer, end_of_turn=None if end_of_turn == tokenizer.eos else end_of_turn)
    weights = open_weights(model)
    plans, notes = plan_tensors(weights, config, arch, kind)
    partial = out.with_name(out.name + ".partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(partial, arch)
    try:
        _write_settings(writer, config, name or model.resolve().name, kind)
        tokenizer.write(writer)
        factors = rope_factors(config)
        if factors is not None:
            writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
        for plan in plans:
            _announce(writer, plan)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if factors is not None:
            writer.write_tensor_data(factors)
        for done, plan in enumerate(plans, 1):
            writer.write_tensor_data(pack(weights, plan))
            if progress is not None:
                progress(done, len(plans))
    finally:
        writer.close()
    partial.replace(out)
    counts: dict[str, int] = {}
    for plan in plans:
        counts[plan.kind.name] = counts.get(plan.kind.name, 0) + 1
    return GgufFile(out, kind, out.stat().st_size, counts, tokenizer, (*notes, *tokenizer.notes))


def _check(model: Path, config: PretrainedConfig) -> str:
    """The architecture by llama.cpp's name. Raises TrainingError for what it would compute otherwise."""
    named = (config.architectures or [type(config).__name__])[0]
    arch = _ARCHITECTURES.get(named)
    if arch is None:
        raise TrainingError(f"{model} is {named}: GGUF is written for {', '.join(_ARCHITECTURES)} only")
    rope: dict[str, Any] = config.rope_parameters
    what = None
    if getattr(config, "quantization_config", None):
        what = "is quantised: merge it first"
    elif rope["rope_type"] not in _ROPES or (rope["rope_type"] == "yarn" and "attention_factor" in rope):
        what = f"scales its positions by {rope['rope_type']}, which is not written here"
    elif rope.get("partial_rotary_factor", 1) != 1:
        what = "rotates a part of each head only, which is not written here"
    elif getattr(config, "sliding_window", None):
        what = f"attends to {config.sliding_window:,} tokens at most, which llama.cpp does not do for it"
    elif config.hidden_act != "silu":
        what = f"uses {config.hidden_act}: llama.cpp computes silu for it"
    if what:
        raise TrainingError(f"{model} {what}")
    return arch


def _announce(writer: GGUFWriter, plan: Plan) -> None:
    """One tensor's entry in the header: `shape` counts bytes, not values, where it is quantised."""
    import gguf
    import numpy as np

    dtype: np.dtype[Any] = np.dtype({"F32": np.float32, "F16": np.float16}.get(plan.kind.name, np.uint8))
    shape = gguf.quant_shape_to_byte_shape(plan.shape, plan.kind) if dtype == np.uint8 else plan.shape
    writer.add_tensor_info(plan.name, shape, dtype, int(np.prod(shape)) * dtype.itemsize, raw_dtype=plan.kind)


def _write_settings(writer: GGUFWriter, config: PretrainedConfig, name: str, kind: Kind) -> None:
    """The figures of the architecture, from its config alone."""
    import gguf

    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope: dict[str, Any] = config.rope_parameters
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("Mistral" if name == "mistral" else name)  # transformers 5.17 fails on that very name
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
        if "original_max_position_embeddings" in rope:
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])

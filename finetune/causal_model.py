"""The model that a generative student is made of: its base, in 4 bits or not, and the adapter on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from finetune.bases import Base, load_pretrained, loading
from finetune.hardware import Machine
from finetune.nf4 import keep_exact
from finetune.tokenizer_files import open_tokenizer
from recipes.errors import TrainingError
from recipes.keys import read_key
from recipes.students import Lora

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROBE = 12
"""Tokens of each of the two rows that `packs_exactly` looks at."""


def load_causal_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's tokenizer. A base without a padding token stays without: batches are masked by length, and EOS as
    padding, which TRL would take, teaches a model never to stop wherever padding is masked by its id.
    """
    token = read_key("HF_TOKEN") if base.hub is not None else None
    with loading(base):
        return open_tokenizer(base.place, base.revision, token)


def load_causal(base: Base, machine: Machine, nf4: bool, whole: bool = False) -> PreTrainedModel:
    """The base: its linear layers in NF4 with doubly quantised scales, or all of it in the machine's precision.

    whole: for training all its weights, which then are in float32. Raises TrainingError for a base that is not there,
    not whole, no causal language model, or stored in 4 bits where that is not asked for.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = load_pretrained(AutoConfig, base)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise TrainingError(f"the base model {base.name} is a {config.model_type}, which writes no text: name another")
    model, found = load_pretrained(
        AutoModelForCausalLM, base, dtype=torch.float32 if whole else machine.dtype, device_map={"": place(machine)},
        use_safetensors=True, output_loading_info=True, **_quantization(config, base, machine, nf4),
    )  # fmt: skip
    missing = sorted(found["missing_keys"])
    if missing:
        raise TrainingError(
            f"the base model {base.name} is not whole: {len(missing)} of its weights are not in its file "
            f"({missing[0]} ...)"
        )
    if nf4:
        _compute_in(model, machine.dtype)
    return cast("PreTrainedModel", model.eval())


def place(machine: Machine) -> str:
    """The device of this process, as torch names it: with several processes each has a GPU of its own."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if machine.device == "cuda" else machine.device


def _quantization(config: Any, base: Base, machine: Machine, nf4: bool) -> dict[str, Any]:
    """What transformers is told to quantise with: nothing where nothing is to be, or the base is stored in 4 bits (a
    quantization_config of None would make it forget that).
    """
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig

    stored = getattr(config, "quantization_config", None)
    if stored is None:
        if not nf4:
            return {}
        how = make(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=machine.dtype,
        )  # fmt: skip
        return {"quantization_config": how}
    told = stored if isinstance(stored, dict) else stored.to_dict()
    if not told.get("load_in_4bit"):
        raise TrainingError(f"the base model {base.name} is stored quantised, and not in bitsandbytes' 4 bits")
    if not nf4:
        raise TrainingError(f"the base model {base.name} is stored in 4 bits: write quantization: nf4, or name another")
    return {}


def _compute_in(model: Any, dtype: torch.dtype) -> None:
    """Compute in this machine's precision: a base that is stored in 4 bits says bf16, which a T4 does not have."""
    from bitsandbytes.nn.modules import Linear4bit

    for part in model.modules():
        if isinstance(part, Linear4bit):
            part.compute_dtype, part.compute_type_is_set = dtype, True
    keep_exact(model)


def check_fit(base: Base, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Refuse a tokenizer with more tokens than the model has, and rows longer than it has positions for."""
    embedded = int(cast(Any, model).get_input_embeddings().weight.shape[0])
    if len(tokenizer) > embedded:
        raise TrainingError(
            f"the tokenizer of {base.name} has {len(tokenizer):,} tokens and its model {embedded:,}: they do not "
            "belong together"
        )
    check_positions(base, model.config, max_length)


def check_positions(base: Base, config: Any, max_length: int) -> None:
    """Refuse rows longer than the model has positions for."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise TrainingError(f"max_length {max_length} is more than {base.name} takes: set it to {positions} or less")


def add_lora(base: Base, model: PreTrainedModel, lora: Lora) -> PeftModel:
    """The model with an adapter on each target layer, frozen but for those; they are in float32 and drawn from torch's
    global generator. Raises TrainingError for a target that no layer has.
    """
    from peft import LoraConfig, get_peft_model

    known = sorted({name.rsplit(".", 1)[-1] for name, part in model.named_modules() if _is_linear(part)})
    strange = [target for target in lora.targets if not _has_layer(model, target)]
    if strange:
        raise TrainingError(
            f"lora.targets: {base.name} has no layer {', '.join(strange)}; its linear layers are {', '.join(known)}"
        )
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout,  # type: ignore[arg-type]
        target_modules=list(lora.targets), use_rslora=lora.rslora, bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
    return cast("PeftModel", get_peft_model(model, config))


def _is_linear(part: Any) -> bool:
    import torch

    return isinstance(part, torch.nn.Linear)  # bitsandbytes' 4-bit layers are


def _has_layer(model: Any, target: str) -> bool:
    return any(
        (name == target or name.endswith(f".{target}")) and _is_linear(part) for name, part in model.named_modules()
    )


def packs_exactly(model: Any, vocabulary: int) -> bool:
    """Whether this model sees rows that share a sequence as if each were alone; it then attends by `attention.py`.

    It is looked at, not looked up: two rows, packed and one by one. What is left between the two (rounding) must be far
    below what the second row's logits change by where the rows do see each other. Models with a state that runs on
    (Mamba), or an attention of their own, fail.
    """
    from finetune import attention

    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    training, before = model.training, whole.config._attn_implementation
    try:
        whole.set_attn_implementation(attention.NAME)
        exact = _is_exact(model.eval(), vocabulary)
    except (TypeError, ValueError, KeyError):  # it knows no such attention, or no positions
        exact = False
    if not exact and whole.config._attn_implementation != before:
        whole.set_attn_implementation(before)
    model.train(training)
    return exact


def _is_exact(model: Any, vocabulary: int) -> bool:
    import torch

    rows = [[(7 * place + turn) % vocabulary for place in range(PROBE)] for turn in (3, 5)]
    with torch.no_grad():
        alone = _probe(model, rows[1:], apart=True)
        together = _probe(model, rows, apart=True)[-PROBE:]
        mixed = _probe(model, rows, apart=False)[-PROBE:]
    return bool((together - alone).abs().max() <= 0.25 * (mixed - alone).abs().max())


def _probe(model: Any, rows: Sequence[Sequence[int]], apart: bool) -> torch.Tensor:
    """Logits of rows in one sequence, packed or as if they were one row."""
    import torch

    device = model.get_input_embeddings().weight.device
    tokens = torch.tensor([[token for row in rows for token in row]], device=device)
    at = [place for row in rows for place in range(len(row))] if apart else list(range(tokens.shape[1]))
    lengths = tuple(len(row) for row in rows) if apart else (tokens.shape[1],)
    positions = torch.tensor([at], device=device)
    logits: torch.Tensor = model(input_ids=tokens, position_ids=positions, row_lengths=lengths, use_cache=False).logits[
        0
    ]
    return logits.float()

"""The trained adapter against each of its exports, one model in memory at a time."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from finetune.base_weights import BaseWeights, find_base_folder, open_base, read_config
from finetune.gguf_read import unpack_gguf
from finetune.parity import Answers, Parity, answer, compare, write_parity
from finetune.shards import open_weights
from finetune.silence import quiet
from finetune.tokenizer_files import open_tokenizer
from recipes.errors import TrainingError

if TYPE_CHECKING:
    import torch

NEW_TOKENS = 16
_SPARE = 1.2
"""What a model takes with what it computes, as a multiple of its weights."""
_NF4_BYTES = 0.53
"""Bytes of a weight in NF4 with its scales."""


def check_exports(
    base: str | Path,
    adapter: Path,
    merged: Path,
    files: Sequence[Path],
    texts: Sequence[str],
    quantised: bool = True,
    revision: str | None = None,
    *,
    trained_in: str | None = None,
    double_quant: bool = True,
    new_tokens: int = NEW_TOKENS,
) -> dict[str, Parity | str]:
    """Compare the merged folder and the GGUF files made of it with the adapter on its base; by the exports' names.

    base, adapter, quantised, trained_in, double_quant: as merge_adapter was given them. texts: prompts as the student
    sees them. All is computed in float32 on the CPU, so that what is seen is the difference of the weights alone.
    Where memory is short, exports are read from the disk layer by layer, a GGUF file through a copy in float16, and
    compared on the first text alone, with no greedy tokens; where there is not enough for the base in 4 bits, a
    sentence stands for the figures. Writes parity.json beside them.
    """
    tokenizer = open_tokenizer(merged)
    prompts = [list(tokenizer(text).input_ids) for text in texts]
    folder = find_base_folder(base, revision)
    source = open_base(folder, read_config(folder), quantised, double_quant, trained_in)
    lacking = _lacking(_adapter_bytes(source))
    original = None if lacking else answer(load_adapter(source, adapter), prompts, new_tokens)
    figures: dict[str, Parity | str] = {}
    for export in (merged, *files):
        found = lacking if original is None else _figures(export, merged, original, prompts, new_tokens)
        write_parity(export, found)
        figures[export.name] = found
    return figures


def _figures(
    export: Path, merged: Path, original: Answers, prompts: Sequence[Sequence[int]], new_tokens: int
) -> Parity | str:
    short = _lacking(4 * sum(math.prod(shape) for shape in open_weights(merged).shapes.values()))
    if not short:
        model = load_merged(export) if export.is_dir() else load_gguf(export, merged)
        return compare(original, answer(model, prompts, new_tokens))
    # Windows deletes no file that is mapped, and the model may live until the next is asked for
    with tempfile.TemporaryDirectory(dir=export.parent, ignore_cleanup_errors=True) as scratch:
        try:
            folder = export if export.is_dir() else unpack_gguf(export, merged, Path(scratch) / "weights")
        except TrainingError as error:
            return f"not measured: {error}"
        # each token reads all the layers from the disk again: one text is minutes, greedy tokens would be hours
        model = load_merged(folder, Path(scratch))
        return compare(Answers(original.logits[:1], ((),)), answer(model, prompts[:1], 0))


def free_memory() -> int:
    """Bytes that this machine can still give."""
    psutil: Any = import_module("psutil")  # comes with accelerate
    return int(psutil.virtual_memory().available)


def _lacking(weights: float) -> str:
    """Why a model with this many bytes of weights cannot be run here; empty where it can."""
    needed, free = weights * _SPARE, free_memory()
    return (
        f"not measured: {needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free"
        if needed > free
        else ""
    )


def _adapter_bytes(source: BaseWeights) -> float:
    sizes = {name: math.prod(shape) for name, shape in source.weights.shapes.items()}
    return sum(
        size * (_NF4_BYTES if name in source.linear else 1 if name in source.packed else 4)
        for name, size in sizes.items()
    )


def load_adapter(source: BaseWeights, adapter: Path) -> Any:
    """The adapter on its base with the values of its training, rounded to `source.dtype`, computing in float32."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config: Any = BitsAndBytesConfig
    options: dict[str, Any] = {"dtype": source.dtype, "device_map": {"": "cpu"}, "trust_remote_code": False}
    if source.linear:
        options["quantization_config"] = config(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=source.double_quant
        )
    try:
        with quiet():
            model: Any = AutoModelForCausalLM.from_pretrained(str(source.weights.folder), **options)
            for weight in model.parameters():
                if weight.is_floating_point():
                    weight.data = weight.data.float()
            _compute_exactly(model, source.dtype)
            tuned: Any = PeftModel.from_pretrained(model, str(adapter), torch_device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the adapter in {adapter} cannot be opened on its base ({first})") from None
    return tuned.eval()


def _compute_exactly(model: Any, dtype: torch.dtype) -> None:
    """Dequantise 4-bit layers to `dtype` and multiply in float32; on a CPU bitsandbytes rounds more (see nf4.py)."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    def forward(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
        layer.weight.quant_state.dtype = dtype
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(inputs.dtype)
        return torch.nn.functional.linear(inputs, weight, layer.bias)

    for part in model.modules():
        if type(part).__name__ == "Linear4bit":
            part.forward = MethodType(forward, part)


def load_merged(folder: Path, scratch: Path | None = None) -> Any:
    """A merged model in float32. scratch: where memory is short, stream its layers from the disk as they are used."""
    import torch
    from transformers import AutoModelForCausalLM

    placed: dict[str, Any] = {"device_map": {"": "cpu"}}
    if scratch is not None:
        placed = {"device_map": "auto", "max_memory": {"cpu": free_memory() // 2}, "offload_folder": str(scratch)}
    with quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.float32, trust_remote_code=False, **placed
        )
    return model.eval()


def load_gguf(file: Path, merged: Path) -> Any:
    """A GGUF file as transformers reads it, in float32; what it does not read (rope scaling) is taken from `merged`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    own = read_config(merged)
    with quiet():
        config: Any = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
        if own.rope_parameters["rope_type"] != "default":
            config.rope_parameters = own.rope_parameters
        if getattr(own, "head_dim", None):
            config.head_dim = own.head_dim
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(file.parent), gguf_file=file.name, config=config, dtype=torch.float32
        )
    return model.eval()

"""A LoRA adapter as PEFT saves it: which linear layers it changes, by what, and whether it can be merged at all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.errors import TrainingError

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_KEY = re.compile(r"^base_model\.model\.(?P<layer>.+)\.lora_(?P<side>[AB])\.weight$")
_REFUSED = (
    "modules_to_save", "use_dora", "lora_bias", "fan_in_fan_out", "trainable_token_indices", "target_parameters",
    "use_qalora", "use_bdlora", "alora_invocation_tokens", "layer_replication", "megatron_config", "arrow_config",
    "kasa_config", "monteclora_config", "velora_config",
)  # fmt: skip
"""Settings of PEFT under which a layer is not W + scale * B @ A, or more than linear layers were trained."""
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Values of init_lora_weights that leave the base as it was; PiSSA, OLoRA, LoftQ and others change its weights."""


@dataclass(frozen=True)
class LoraLayer:
    """What is added to one linear layer: scale * b @ a, with a (rank, in) and b (out, rank), float32."""

    scale: float
    a: torch.Tensor
    b: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in), as the layer's own weight."""
        return (self.b.shape[0], self.a.shape[1])


def read_lora(folder: Path) -> dict[str, LoraLayer]:
    """The layers of an adapter by the name of the module they change (`model.layers.0.self_attn.q_proj`).

    Alpha and rank are per layer where the adapter says so (alpha_pattern); with rsLoRA the scale is alpha / sqrt(rank)
    (https://arxiv.org/abs/2312.03732), else alpha / rank. Raises TrainingError for what cannot be merged.
    """
    config = _read_config(folder)
    _check(folder, config)
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in _read_tensors(folder).items():
        found = _KEY.match(key)
        if found is None:
            name = key.removeprefix(_PREFIX)
            raise TrainingError(
                f"the adapter in {folder} also carries {name}: only LoRA on linear layers can be merged; train with "
                f"no added tokens and with target modules other than the embeddings and the head"
            )
        sides.setdefault(found["layer"], {})[found["side"]] = tensor.float()
    if not sides:
        raise TrainingError(f"the adapter in {folder} has no LoRA weights")
    return {layer: _layer(folder, config, layer, pair) for layer, pair in sides.items()}


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError:
        raise TrainingError(f"{folder} is no adapter: it has no {CONFIG}") from None
    except ValueError:
        raise TrainingError(f"{folder / CONFIG} is damaged: train the student again") from None
    return config


def _check(folder: Path, config: dict[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise TrainingError(f"the adapter in {folder} is {kind}: only LORA can be merged")
    set_ = [name for name in _REFUSED if config.get(name)]
    if config.get("bias", "none") != "none":
        set_.append("bias")
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        set_.append("init_lora_weights")
    if set_:
        raise TrainingError(f"the adapter in {folder} was trained with {', '.join(set_)}, which cannot be merged here")


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{folder / WEIGHTS} cannot be read ({error}): train the student again") from None


def _layer(folder: Path, config: dict[str, Any], layer: str, pair: dict[str, torch.Tensor]) -> LoraLayer:
    if set(pair) != {"A", "B"}:
        raise TrainingError(f"{folder / WEIGHTS} is damaged: {layer} has lora_{min(pair)} alone")
    rank = pair["A"].shape[0]
    said = _of_layer(config.get("rank_pattern"), layer, config["r"])
    if rank != said or pair["B"].shape[1] != rank:
        raise TrainingError(f"{folder} is damaged: {layer} has rank {rank} and {CONFIG} says {said}")
    alpha = _of_layer(config.get("alpha_pattern"), layer, config["lora_alpha"])
    scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    return LoraLayer(scale, pair["A"], pair["B"])


def _of_layer(patterns: dict[str, Any] | None, layer: str, otherwise: float) -> float:
    """PEFT's rule: the first pattern that the end of the layer's name matches, whole parts only."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return float(value)
    return float(otherwise)

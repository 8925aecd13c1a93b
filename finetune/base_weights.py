"""The base of an adapter, tensor by tensor, as the values that the student was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from finetune.nf4 import stored, stored_names, stored_shape, through_nf4
from finetune.shards import Weights, open_weights
from finetune.silence import quiet
from recipes.errors import TrainingError
from recipes.keys import read_key, redact

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class BaseWeights:
    """Where the base's tensors come from. packed: stored in 4 bits; linear: to be sent through NF4.

    dtype: what the base was loaded and computed in for training; it rounds the dequantised values.
    """

    weights: Weights
    packed: set[str]
    linear: set[str]
    double_quant: bool
    dtype: torch.dtype

    def plain(self, name: str) -> torch.Tensor:
        """One tensor with the values that the student was trained on."""
        if name in self.packed:
            return stored(self.weights, name, self.dtype)
        weight = self.weights.read(name).to(self.dtype)
        return through_nf4(weight, self.double_quant) if name in self.linear else weight


def find_base_folder(base: str | Path, revision: str | None = None) -> Path:
    """The folder of a base model, downloaded where it is a Hub id. Raises TrainingError where there is none."""
    if Path(base).is_dir():
        return Path(base)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                str(base), revision=revision, token=read_key("HF_TOKEN"),
                allow_patterns=["model*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt"],
                ignore_patterns=["*/*"],
            )
        )  # fmt: skip
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = redact(str(error).strip().split("\n")[0])
        raise TrainingError(f"the base model {base} is no folder and cannot be got from the Hub: {first}") from None


def read_config(folder: Path) -> PretrainedConfig:
    from transformers import AutoConfig

    try:
        with quiet():
            return cast("PretrainedConfig", AutoConfig.from_pretrained(str(folder), trust_remote_code=False))
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the base model in {folder} cannot be read ({first})") from None


def open_base(
    folder: Path, config: PretrainedConfig, quantised: bool, double_quant: bool = True, trained_in: str | None = None
) -> BaseWeights:
    """The tensors of a base. trained_in: the dtype of its training; None for its config's own, which transformers
    takes too. Raises TrainingError for quantisation other than bitsandbytes' 4 bits.
    """
    import torch

    weights = open_weights(folder)
    method = (getattr(config, "quantization_config", None) or {}).get("quant_method")
    if method not in (None, "bitsandbytes"):
        raise TrainingError(f"the base model in {folder} is quantised by {method}: only bitsandbytes can be merged")
    packed = stored_names(weights)
    linear = _linear_weights(config) if quantised and not packed else set()
    dtype: Any = trained_in or config.dtype or "float32"
    return BaseWeights(
        weights, packed, linear, double_quant, getattr(torch, dtype) if isinstance(dtype, str) else dtype
    )


def _skeleton(config: PretrainedConfig) -> Any:
    """The model without memory for its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    with quiet(), torch.device("meta"):
        return auto.from_config(config, trust_remote_code=False)


def _linear_weights(config: PretrainedConfig) -> set[str]:
    """Weights that transformers quantises at load: all linear layers but the head."""
    import torch

    model = _skeleton(config)
    head = model.get_output_embeddings()
    linears = {name for name, part in model.named_modules() if type(part) is torch.nn.Linear and part is not head}
    return {f"{name}.weight" for name in linears}


def merged_shapes(source: BaseWeights, config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    """What the merged model holds: the model's own tensors, each once (a head tied to the embeddings is not stored)."""
    names = list(_skeleton(config).state_dict())
    if config.tie_word_embeddings:
        names = [name for name in names if name != "lm_head.weight"]
    absent = [name for name in names if name not in source.weights.places]
    if absent:
        raise TrainingError(
            f"the base model in {source.weights.folder} is not whole: {len(absent)} of its tensors are not in its "
            f"files ({absent[0]} ...)"
        )
    return {
        name: stored_shape(source.weights, name) if name in source.packed else source.weights.shapes[name]
        for name in names
    }

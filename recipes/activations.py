"""What a token takes while a model trains: what its blocks keep for the backward pass, and the loss.

Two moments can be the peak: the backward pass through one block, and the loss. Before both, every block has kept its
activations, or its input alone where they are recomputed (gradient checkpointing). All sizes are bytes.

The counts are of tensors that live at once. `plain` is held by a test that counts them in a tiny NF4 model
(transformers 5, peft, bitsandbytes). `unsloth` and `hf` are held by unsloth's published table.
"""

from __future__ import annotations

from dataclasses import dataclass

from recipes.architecture import Architecture
from recipes.devices import Precision
from recipes.settings import Backend, Settings

WIDTH: dict[Precision, int] = {"bf16": 2, "fp16": 2, "fp32": 4}
"""Bytes of a number."""

CHUNK_LOGIT = 12
"""Of a logit in TRL's chunked loss as it is taken here, recomputed in the backward pass: log-softmax, its gradient and
that of the logits in float32, counted on a CPU."""
HF_LOGIT = 16
"""Of a logit in transformers' loss: float32 logits, log-softmax, and the gradients of both."""


@dataclass(frozen=True, slots=True)
class Making:
    """How a backend goes about it.

    fused: kernels that keep fewer activations. offloads: the inputs of blocks wait in the host's memory. upcasts:
    all that is not quantised is in float32 (peft's prepare_model_for_kbit_training), so the stream between blocks too.
    """

    fused: bool = False
    offloads: bool = False
    upcasts: bool = False


MAKINGS: dict[Backend, Making] = {
    "unsloth": Making(fused=True, offloads=True),
    "plain": Making(),
    "hf": Making(upcasts=True),
}


def checkpoint(model: Architecture, settings: Settings) -> int:
    """A block's input, per token."""
    return model.hidden * (4 if upcasts(settings) else WIDTH[settings.dtype])


def is_masked(settings: Settings) -> bool:
    """Whether attention is given a mask."""
    return settings.masked and settings.backend == "plain"


def mask(model: Architecture, settings: Settings) -> int:
    """The mask of one micro-batch: bool, and the copy in the computed dtype that each block makes and keeps."""
    if not is_masked(settings):
        return 0
    copies = model.layers if settings.checkpointing is False else 1
    return (settings.micro_batch or 1) * settings.max_length**2 * (1 + WIDTH[settings.dtype] * copies)


def upcasts(settings: Settings) -> bool:
    """Whether embeddings, head and norms are made float32."""
    return settings.quantised and MAKINGS[settings.backend].upcasts


def kept(model: Architecture, settings: Settings) -> int:
    """What one block keeps for its backward pass, per token."""
    width = WIDTH[settings.dtype]
    if MAKINGS[settings.backend].fused:  # inputs and outputs of two norms; queries, attention; keys, values; gate, up
        return width * (4 * model.hidden + 2 * model.queries + 2 * model.keys + 2 * model.intermediate)
    norms = 2 * (4 + width) * model.hidden  # each: its input in float32, its output
    heads = 2 * model.queries + 2 * (model.queries if _repeats(settings) else model.keys)
    if settings.backend == "plain" and not is_masked(settings):
        heads += model.queries  # rows attend one by one, and what they give is put together again
    if model.qk_norm:
        norms += (4 + width) * (model.queries + model.keys)
    mlp = 4 * model.intermediate  # gate, its activation, up, their product
    adapters = 0 if settings.rank is None else settings.rank * len(settings.targets)
    return norms + width * (heads + mlp + adapters)


def _repeats(settings: Settings) -> bool:
    """Whether keys and values are repeated for every query head: with a mask transformers does so."""
    return is_masked(settings) or (settings.repeated and settings.backend == "plain")


def gradients(model: Architecture, settings: Settings) -> int:
    """What comes on top in the backward pass of one block, per token."""
    width = WIDTH[settings.dtype]
    if MAKINGS[settings.backend].fused:
        return kept(model, settings)  # a gradient beside each; the kernels reuse some, the allocator loses as much
    # the product's gradient with the adapter's share beside it; the stream's in, out and in a float32 norm
    return 2 * width * model.intermediate + (4 + 5 * width // 2) * model.hidden


def end(model: Architecture, settings: Settings) -> int:
    """What the last norm and the way to the loss keep, per token."""
    width = WIDTH[settings.dtype]
    return (4 + 5 * width) * model.hidden  # the norm's float32 input; its output, sorted by TRL, and gradients


def logits(model: Architecture, settings: Settings, tokens: int) -> int:
    """The logits and their kin while the loss is taken. unsloth's fused loss makes do with what is free."""
    if settings.backend == "unsloth":
        return 0
    if settings.backend == "hf":
        return HF_LOGIT * model.vocabulary * tokens
    return CHUNK_LOGIT * model.vocabulary * min(settings.loss_chunk, tokens)

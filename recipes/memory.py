"""The memory that a training takes, by component, from the base's dimensions alone. An estimate, not a measurement.

Its ground: unsloth's published table of the longest contexts for Llama 3 8B in 4 bits (rank 32, batch 1), which a test
holds to 3% in every cell, and counts of live tensors on a CPU. Sizes are bytes; a GiB is 2**30, and so is a "GB" of the
table: its two rows are straight lines only if read so.
"""

from __future__ import annotations

from dataclasses import dataclass

from recipes.activations import MAKINGS, WIDTH, checkpoint, end, gradients, kept, logits, mask, upcasts
from recipes.architecture import LINEARS, Architecture
from recipes.devices import GIB
from recipes.settings import Settings

CUDA_CONTEXT = int(0.38 * GIB)
"""The driver's context and the kernels of torch, cuBLAS and bitsandbytes in it."""
ALLOCATOR = int(0.79 * GIB)
"""Blocks that torch's allocator holds and cannot use, and the workspaces of cuBLAS and attention: what is left of the
published table once all else is counted."""
PROCESS = int(0.55 * GIB)
"""Python with torch, transformers, peft, trl and bitsandbytes loaded, resident (measured, Linux)."""

NF4_BLOCK, STATE_BLOCK = 64, 256
"""Weights that share a scale in NF4; scales, or optimizer states, that share one in 8 bits (bitsandbytes' defaults)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component and its bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """All components at the peak. host: bytes that wait in the machine's own memory meanwhile."""

    parts: tuple[Part, ...]
    host: int = 0

    @property
    def total(self) -> int:
        """Bytes on the device."""
        return sum(part.size for part in self.parts)


def memory_of(model: Architecture, settings: Settings) -> Memory:
    """The peak of a training with these settings; micro-batch 1 and checkpointing where they are left open."""
    tokens = (settings.micro_batch or 1) * settings.max_length
    host = 0
    if settings.checkpointing is not False and MAKINGS[settings.backend].offloads:
        host = model.layers * checkpoint(model, settings) * tokens
    parts = (*_weights(model, settings), *_trained(model, settings), *_activations(model, settings, tokens))
    return Memory(tuple(part for part in (*parts, *_overhead(settings)) if part.size), host)


def nf4_bytes(weights: int, double_quant: bool) -> int:
    """NF4 weights of one layer with their scales: 4.5 bits each, or 4.13 where the scales are quantised too."""
    scales = -(-weights // NF4_BLOCK)
    packed = -(-weights // 2) + 16 * 4  # and the table of 16 values
    if not double_quant:
        return packed + 4 * scales
    return packed + scales + 4 * (-(-scales // STATE_BLOCK) + 256 + 1)  # 8-bit scales, theirs, their table and offset


def _weights(model: Architecture, settings: Settings) -> list[Part]:
    """The base."""
    if settings.rank is None:
        held, computed = WIDTH[settings.trained], WIDTH[settings.dtype]
        copies = computed * (model.linear_parameters + model.head_parameters) if computed < held else 0
        return [
            Part(f"weights, {settings.trained}", held * model.parameters),
            Part(f"their copies in {settings.dtype} (autocast)", copies),
        ]
    width = WIDTH[settings.dtype]
    if not settings.quantised:
        return [Part(f"weights, {settings.dtype}", width * model.parameters)]
    sizes = [inputs * outputs for inputs, outputs in map(model.shape, LINEARS)]
    packed = model.layers * sum(nf4_bytes(size, settings.double_quant) for size in sizes)
    scales = "double quantisation" if settings.double_quant else "scales in float32"
    held, dtype = (4, "fp32") if upcasts(settings) else (width, settings.dtype)
    return [
        Part(f"linear layers, NF4 with {scales}", packed),
        Part(f"embedding, head and norms, {dtype}", held * model.other_parameters),
    ]


def _trained(model: Architecture, settings: Settings) -> list[Part]:
    """What is learnt: adapters (in float32) or all weights, which `_weights` has; gradients; the optimizer's states."""
    if settings.rank is None:
        parts, count, width = [], model.parameters, WIDTH[settings.trained]
    else:
        count, width = model.adapter_parameters(settings.rank, settings.targets), WIDTH["fp32"]
        parts = [Part(f"LoRA adapters, rank {settings.rank}, fp32", width * count)]
    states = Part(f"AdamW states, {8 * width} bits", 2 * width * count)  # torch keeps the two as it keeps the weights
    if settings.optimizer == "adamw_8bit":
        states = Part("AdamW states, 8 bits", 2 * (count + 4 * -(-count // STATE_BLOCK)))
    return [*parts, Part("gradients", width * count), states]


def _activations(model: Architecture, settings: Settings, tokens: int) -> list[Part]:
    """The greater of the two moments: a block's backward pass, or the loss."""
    making, block = MAKINGS[settings.backend], kept(model, settings)
    recomputed = settings.checkpointing is not False
    if recomputed and making.offloads:
        waiting, named = checkpoint(model, settings), "the next block's input, fetched from the host"
    elif recomputed:
        waiting, named = model.layers * checkpoint(model, settings), f"inputs of {model.layers} blocks (checkpointing)"
    else:
        waiting, named = model.layers * block, f"activations of {model.layers} blocks"
    working = gradients(model, settings) + (block if recomputed else 0)
    copied = max(inputs * outputs for inputs, outputs in map(model.shape, LINEARS)) if settings.quantised else 0
    backward = [
        Part("one block's activations and gradients" if recomputed else "one block's gradients", working * tokens),
        Part("one linear layer, dequantised", WIDTH[settings.dtype] * copied),
    ]
    loss = [Part("the loss", end(model, settings) * tokens + logits(model, settings, tokens))]
    peak = max(backward, loss, key=lambda parts: sum(part.size for part in parts))
    return [Part(named, waiting * tokens), *peak, Part("attention masks", mask(model, settings))]


def _overhead(settings: Settings) -> list[Part]:
    if not settings.gpu:
        return [Part("Python and its libraries", PROCESS)]
    return [Part("CUDA context", CUDA_CONTEXT), Part("allocator and workspaces", ALLOCATOR)]

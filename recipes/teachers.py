"""Who is asked: a model behind an API, replies on record, or nobody."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from recipes.chat import Price
from recipes.section import Section

PROVIDERS: dict[str, tuple[str | None, str | None]] = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "endpoint": (None, None),
    "recorded": (None, None),
    "none": (None, None),
}
"""provider -> (base URL, name of the environment variable that holds its key)."""


class Teacher(Section):
    """The model that writes the labels, or the reasoning and the answers."""

    provider: Literal["openai", "deepseek", "fireworks", "endpoint", "recorded", "none"]
    """fireworks goes through langchain-fireworks; endpoint is any OpenAI-compatible base_url (vLLM, Ollama, llama.cpp);
    recorded plays a reply journal with no network; none: nobody is asked (task: description or chat)."""
    model: str = Field(default="none", min_length=1, validate_default=True)
    """The model's name at the provider; needed wherever somebody is asked."""
    base_url: str | None = None
    """Address of an endpoint, up to and with /v1; the other providers know theirs. It is part of what is asked: another
    address, or another name of the same machine, means that everything is asked (and paid) anew. Beside provider:
    recorded it names the address that the replies came from, so that a run's own journal.jsonl can be played."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """NAME of the environment variable with the API key, never the key itself."""
    journal: str | None = None
    """The recorded replies to play, relative to the recipe (provider: recorded). Of one's own run: its journal.jsonl,
    with model, sampling and prompt as they were, and base_url (of fireworks: https://api.fireworks.ai/inference/v1)."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """0.7: the published DeepSeek-V3 run."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling; not sent where not given."""
    max_tokens: int = Field(default=1024, ge=1)
    """Also what the budget reserves for a reply before it is sent."""
    seed: int | None = None
    """Sent to the provider, plus the number of the vote; not sent where not given."""
    price: Price | None = None
    """USD per million tokens: {input, cached_input, output}, from the provider's list. A paid teacher needs it."""
    concurrency: int = Field(default=64, ge=1, le=4096)
    """Most requests in flight; the engine goes lower while the provider answers 429."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests per minute; read from the provider's headers where not given."""
    tpm: int | None = Field(default=None, ge=1)
    """Tokens per minute, likewise."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds one request may take."""
    retries: int = Field(default=6, ge=0, le=20)
    """Times one request is sent again after 429, 5xx, a reset or a time-out."""

    @field_validator("model")
    @classmethod
    def _named(cls, model: str, info: ValidationInfo) -> str:
        if model == "none" and info.data.get("provider") != "none":
            raise PydanticCustomError("missing", "Field required")
        return model

    @model_validator(mode="after")
    def _address(self) -> Teacher:
        if self.provider == "endpoint" and not self.base_url:
            raise ValueError("an endpoint needs base_url, e.g. http://localhost:11434/v1")
        if (self.provider == "recorded") != (self.journal is not None):
            raise ValueError("journal goes with provider: recorded, and only with it")
        return self

    def address(self) -> str:
        """The base URL requests go to, without a slash at the end; `recorded` where nothing is sent."""
        return (self.base_url or PROVIDERS[self.provider][0] or "recorded").rstrip("/")

    def where(self) -> str:
        """Who provides the model, in a word: an endpoint by its address."""
        return self.address() if self.provider == "endpoint" else self.provider

    def key_variable(self) -> str | None:
        """Name of the environment variable that holds the key."""
        return self.key_env or PROVIDERS[self.provider][1]

    def is_paid(self) -> bool:
        """Whether a call may cost money: a price is named, or the provider charges. Replies on record are free."""
        if self.provider in ("recorded", "none"):
            return False
        return self.price is not None or self.provider in ("openai", "deepseek", "fireworks")

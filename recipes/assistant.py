"""Who answers from the catalogue, in what words, and how many at once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recipes.chat import Price
from recipes.section import Section
from recipes.students import Answering


class Backend(Section):
    """Any OpenAI-compatible endpoint that answers: vLLM, Ollama, llama.cpp, a provider."""

    base_url: str
    """Up to and with /v1."""
    model: str = Field(min_length=1)
    """The model's name there."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """NAME of the environment variable with the API key, never the key itself."""
    price: Price | None = None
    """USD per million tokens, for the cost of an answer in reports."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds without a word after which an answer is given up."""


class Assistant(Section):
    """A product assistant: retrieval and somebody who answers."""

    model: str = "extractive"
    """students.<name>, teacher, endpoint (then the key `endpoint` says which), or extractive: no model, the best
    sentences of the best passages."""
    endpoint: Backend | None = None
    """The endpoint that answers, for model: endpoint."""
    name: str = Field(default="product assistant", min_length=1, max_length=80)
    """What the page calls it."""
    instruction: str = Field(
        default=(
            "You help customers of a shop. Answer the question from the numbered passages alone and cite them like "
            "[1]. Where they do not hold the answer, say that the catalogue does not say."
        ),
        min_length=1,
    )
    """The system message."""
    refusal: str = Field(default="I could not find that in the catalogue.", min_length=1)
    """What is answered where the catalogue has nothing on a question."""
    answering: Answering | None = None
    """How it answers; the student's own section where not given."""
    rewrite: bool = True
    """Whether a question that refers back is completed from the conversation before it is searched for. The model is
    asked to write it anew; one that has not ended its thought after 200 tokens is asked that once, and from then on the
    words that the conversation is about are put behind the question."""
    thoughts: Literal["show", "hide"] = "show"
    """Whether the page, the API and the terminal show what a model thinks before it answers. With hide, clients are
    sent none of it; a line of feedback keeps it, to learn from."""
    context_tokens: int = Field(default=4096, ge=64)
    """Most tokens of prompt and answer together; a model's own limit where that is lower."""
    history_turns: int = Field(default=6, ge=0)
    """Most earlier turns that the model is shown."""
    host: str = "127.0.0.1"
    """Address to listen on; any but a loopback one needs key_env."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0: any free one."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """NAME of the environment variable with the key that clients must send."""
    hosts: tuple[str, ...] = ()
    """Names under which it may be called (the Host header), beside the address itself and localhost."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Answers at once."""
    queue: int = Field(default=32, ge=0)
    """Questions that may wait; more are answered with 429."""
    max_body_bytes: int = Field(default=256_000, ge=1024)
    """Larger requests are answered with 413."""
    max_answer_tokens: int = Field(default=1024, ge=1)
    """Most that a client may ask for."""

    @field_validator("model")
    @classmethod
    def _answers(cls, model: str) -> str:
        named = model in ("teacher", "endpoint", "extractive")
        if not named and not (model.startswith("students.") and len(model) > len("students.")):
            raise ValueError(f"must be students.<name>, teacher, endpoint or extractive, got {model!r}")
        return model

    @model_validator(mode="after")
    def _agrees(self) -> Assistant:
        if (self.model == "endpoint") != (self.endpoint is not None):
            raise ValueError("model: endpoint goes with the key `endpoint` ({base_url, model}), and only with it")
        return self

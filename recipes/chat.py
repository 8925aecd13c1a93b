"""What is said to a chat model and what comes back, in OpenAI's words.

A `ChatRequest` is everything that decides a reply; its `key` names the reply in the journal. Times, retries and
API keys decide nothing and are not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "unknown"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. `logprobs` asks for the top-20 alternatives of every token."""

    temperature: float
    max_tokens: int
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a chat model.

    endpoint: base URL (or `recorded`): the same model elsewhere may answer otherwise, and nobody can tell from a name
    whether two are one; another address means asking anew.
    response_format: OpenAI's object (`{"type": "json_object"}`, a JSON schema) or None for plain text.
    sample: the number of this draw where one question is asked several times (votes); 0 for the first.
    """

    endpoint: str
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    response_format: Mapping[str, Any] | None = None
    sample: int = 0

    def body(self) -> dict[str, Any]:
        """The request as the body of `POST /chat/completions`."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed + self.sample
        if sampling.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = 20
        if self.response_format is not None:
            body["response_format"] = self.response_format
        return body

    def key(self) -> str:
        """sha256 (hex) of the whole request: endpoint, body and sample number."""
        whole = [self.endpoint, self.body(), self.sample]
        return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `prompt` includes `cached`."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """One generated token and the alternatives the model weighed: ((text, natural log of probability), ...)."""

    token: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The raw text a model answered, before anything is made of it."""

    text: str
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    refusal: str | None = None
    logprobs: tuple[TokenLogprobs, ...] | None = None


class Price(BaseModel):
    """USD per million tokens, as the provider lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: float = Field(ge=0)
    """Prompt tokens."""
    output: float = Field(ge=0)
    """Tokens of the reply."""
    cached_input: float | None = Field(default=None, ge=0)
    """Prompt tokens the provider had cached; the full input price where the list names none."""

    def cost(self, usage: Usage) -> float:
        """USD for one reply."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.prompt - usage.cached
        return (fresh * self.input + usage.cached * cached + usage.completion * self.output) / 1e6


class ChatModel(Protocol):
    """Anything that answers a request: an endpoint, langchain-fireworks, a journal."""

    async def complete(self, request: ChatRequest) -> Reply: ...

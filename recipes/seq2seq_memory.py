"""What the training of a seq2seq student takes of a device's memory, roughly: how many seeds fit it, and how many
tokens of each at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipes.devices import GIB

PROCESS = GIB
"""Bytes of a GPU that a process takes before it does anything: the driver's context, kernels, what torch's allocator
holds and cannot use."""
WEIGHT = 16
"""Bytes a weight: itself, its gradient and two moments, in float32."""
MOST_TOKENS = 1 << 14
"""Padded tokens, read and written, that go through a model at once at the most: no device is quicker with more."""
LEAST_TOKENS = 512
USED = 0.9
"""Share of the memory that is planned with."""


def token_bytes(config: Mapping[str, Any], precision: str) -> int:
    """Bytes that a token leaves behind for the backward pass: about 34 values of the model's width in every block
    (Korthikanti et al., arXiv 2205.05198; attention is not counted, at these lengths it is less), half as much again in
    a decoder that also looks at the text, three MLP values; and of what is written, logits and their gradient, in
    float32 twice over. config: of a config.json."""
    width = int(_first(config, "d_model", "hidden_size"))
    inner = int(_first(config, "d_ff", "encoder_ffn_dim", "intermediate_size"))
    layers = int(_first(config, "num_layers", "encoder_layers", "num_hidden_layers"))
    size = 4 if precision == "fp32" else 2
    return int(1.25 * layers * size * (26 * width + 3 * inner)) + 6 * int(config["vocab_size"])


def seed_bytes(weights: int, each: int, tokens: int) -> int:
    """Bytes of one training: so many weights, and `tokens` at once of `each` bytes."""
    return PROCESS + WEIGHT * weights + each * tokens


def seeds_that_fit(free: int, needed: int) -> int:
    """Trainings of `needed` bytes that fit into `free`; one is always tried."""
    return max(1, int(USED * free) // needed)


def tokens_that_fit(total: int, at_once: int, weights: int, each: int) -> int:
    """Padded tokens that one of `at_once` trainings may send through its model together, of `total` bytes in all."""
    left = int(USED * total) // at_once - PROCESS - WEIGHT * weights
    return max(LEAST_TOKENS, min(MOST_TOKENS, left // each))


def _first(config: Mapping[str, Any], *names: str) -> Any:
    """What a config calls the same thing by one of several names; T5's by the first."""
    return next(value for name in names if (value := config.get(name)) is not None)

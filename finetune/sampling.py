"""How the next token is drawn: for each row of a batch by its own settings and its own draws."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recipes.students import Answering

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Row:
    """How a row's tokens are drawn. draws: a number for each of its tokens; began: how many steps its batch had made
    before its first.
    """

    answering: Answering
    draws: npt.NDArray[np.float32]
    began: int


def draws(prompt: list[int], answering: Answering, seed: int) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1) for each token of an answer, by prompt and seed."""
    if answering.temperature == 0:
        return np.zeros(answering.max_new_tokens, dtype=np.float32)
    key = hashlib.sha256(np.asarray(prompt, dtype=np.int64).tobytes()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(key[:8], "little")])
    return rng.random(answering.max_new_tokens, dtype=np.float32)


def sample_rows(logits: Tensor, rows: Sequence[Row], step: int) -> Tensor:
    """A token for each row of logits (n, tokens), after `step` steps of the batch."""
    import torch

    drawn = np.array([row.draws[step - row.began] for row in rows], dtype=np.float32)
    numbers = torch.from_numpy(drawn).to(logits.device)
    alike: dict[tuple[float, float], list[int]] = {}
    for place, row in enumerate(rows):
        alike.setdefault((row.answering.temperature, row.answering.top_p), []).append(place)
    if len(alike) == 1:
        return sample(logits, rows[0].answering, numbers)
    chosen = torch.empty(len(rows), dtype=torch.int64, device=logits.device)
    for places in alike.values():
        chosen[places] = sample(logits[places], rows[places[0]].answering, numbers[places])
    return chosen


def sample(logits: Tensor, answering: Answering, numbers: Tensor) -> Tensor:
    """One token for each row of logits (n, tokens), by its number in [0, 1): the place where the summed probabilities
    pass it. With top_p the likeliest tokens that together have that probability are left (arXiv 1904.09751).
    """
    if answering.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, order = (logits / answering.temperature).softmax(dim=-1), None
    if answering.top_p < 1:
        probabilities, order = probabilities.sort(dim=-1, descending=True)
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.where(before < answering.top_p, 0)
    sums = probabilities.cumsum(dim=-1)
    wanted = numbers[:, None].to(sums) * sums[:, -1:] * (1 - 1e-6)  # rounding must not reach past the last token
    places = _passed(sums, wanted)
    return places if order is None else order.gather(1, places[:, None])[:, 0]


def _passed(sums: Tensor, wanted: Tensor) -> Tensor:
    import torch

    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=sums.shape[1] - 1)

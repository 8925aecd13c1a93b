"""Prompts being answered together, a token each at a step.

Not transformers' generate(): that draws the tokens of a whole batch from one generator, so that an answer changes with
what else was asked. Here every question has its own draws, an answered question leaves the batch, and streaming and
batches are one loop.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recipes.errors import TrainingError
from recipes.students import Answering

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


BATCH_ROWS = 128
"""Questions answered together at most."""
PREFILL_TOKENS = 16_384
"""Tokens of prompts that are read at once."""


class Decoding:
    """A batch: `step` gives each row its next token, `keep` drops rows that need no more. Raises TrainingError for a
    model whose logits are no numbers.

    prompts: token ids of each, none empty. tokens: how many ids there are; a model may have weights for more.
    With the same `seed` a prompt gets the same draws, whatever stands beside it. (Its logits may still differ in the
    last bits: padding changes the order of sums.)
    """

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[list[int]], answering: Answering, tokens: int, seed: int
    ) -> None:
        import torch
        from transformers import DynamicCache

        self._model: Any = model
        self._answering, self._tokens = answering, tokens
        self._ids, self._mask = pad_left(prompts, model.device)
        self._positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        self._cache = DynamicCache(config=model.config)
        self._draws = torch.from_numpy(np.stack([_draws(ids, answering, seed) for ids in prompts])).to(model.device)
        self._taken = 0

    def step(self) -> list[int]:
        """The next token of every row that is left."""
        import torch

        with torch.inference_mode():  # here and not around the loop: a generator would leave it on between its steps
            logits = self._model(
                input_ids=self._ids, attention_mask=self._mask, position_ids=self._positions,
                past_key_values=self._cache, use_cache=True, logits_to_keep=1,
            ).logits[:, -1, : self._tokens].float()  # fmt: skip
            if bool(logits.isnan().any()):
                raise no_numbers(self._model)
            chosen = sample(logits, self._answering, self._draws[:, self._taken])
            self._taken += 1
            self._ids, self._positions = chosen[:, None], self._positions[:, -1:] + 1
            self._mask = torch.cat([self._mask, torch.ones_like(chosen[:, None])], dim=1)
            return [int(one) for one in chosen.tolist()]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone, by their places among those that are left."""
        import torch

        with torch.inference_mode():
            places = torch.tensor(rows, device=self._ids.device)
            self._cache.batch_select_indices(places)
            self._ids, self._mask, self._positions, self._draws = (
                table[places] for table in (self._ids, self._mask, self._positions, self._draws)
            )


def no_numbers(model: Any) -> TrainingError:
    """What to raise where a model computes nan."""
    dtype = str(model.dtype).removeprefix("torch.")
    return TrainingError(
        f"the student's logits are no numbers in {dtype}: set precision: fp32 (or bf16 where the device has it), or "
        "train it again with a lower learning_rate"
    )


def pad_left(rows: Sequence[list[int]], device: Any) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (n, longest) int64, padded at the start. What stands there is never seen."""
    import torch

    width = max(len(ids) for ids in rows)
    ids, mask = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = row
        mask[place, width - len(row) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def sample(logits: Tensor, answering: Answering, draws: Tensor) -> Tensor:
    """One token for each row of logits (n, tokens), by its draw in [0, 1): the place where the summed probabilities
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
    wanted = draws[:, None].to(sums) * sums[:, -1:] * (1 - 1e-6)  # rounding must not reach past the last token
    places = _passed(sums, wanted)
    return places if order is None else order.gather(1, places[:, None])[:, 0]


def _passed(sums: Tensor, wanted: Tensor) -> Tensor:
    import torch

    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=sums.shape[1] - 1)


def _draws(prompt: list[int], answering: Answering, seed: int) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1) for each token of an answer, by prompt and seed."""
    if answering.temperature == 0:
        return np.zeros(answering.max_new_tokens, dtype=np.float32)
    key = hashlib.sha256(np.asarray(prompt, dtype=np.int64).tobytes()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(key[:8], "little")])
    return rng.random(answering.max_new_tokens, dtype=np.float32)


def batches(lengths: Sequence[int], answer: int, tokens: int) -> Iterator[list[int]]:
    """Places of prompts of about one length, longest first. A batch has at most `tokens`, prompts padded and answers of
    `answer` tokens included, BATCH_ROWS prompts and PREFILL_TOKENS in them; or one prompt.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        width = max(1, lengths[order[start]])
        count = max(1, min(BATCH_ROWS, PREFILL_TOKENS // width, tokens // (width + answer)))
        yield order[start : start + count]
        start += count


def in_halves(places: list[int], work: Callable[[list[int]], None], alone: str) -> None:
    """Do `work` on some places; on each half of them, again, where the device's memory runs out. TrainingError `alone`
    where it runs out for one.
    """
    import torch

    if _fits(places, work):
        return
    if len(places) == 1:
        raise TrainingError(alone)
    gc.collect()
    torch.cuda.empty_cache()
    for half in (places[: len(places) // 2], places[len(places) // 2 :]):
        in_halves(half, work, alone)


def _fits(places: list[int], work: Callable[[list[int]], None]) -> bool:
    """Whether memory was enough for `work`. A function of its own, for the error's traceback holds all that the failed
    batch had: it must be gone before there is another try.
    """
    import torch

    try:
        work(places)
    except torch.OutOfMemoryError:
        return False
    return True

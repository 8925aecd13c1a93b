"""Prompts being answered together, a token each at a step.

Not transformers' generate(): that draws the tokens of a whole batch from one generator, so that an answer changes with
what else was asked. Here every question has its own draws, an answered question leaves the batch, and streaming and
batches are one loop.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.packing import group
from finetune.sampling import Row, draws, sample_rows
from recipes.errors import TrainingError
from recipes.students import Answering

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


BATCH_ROWS = 128
"""Questions answered together at most."""
PREFILL_TOKENS = 16_384
"""Tokens of prompts that are read at once."""
KEYS, UNREAD = 64, 32
"""On a CPU the keys of a batch are a multiple of KEYS, and the tokens that are read at once, but for a prompt's last,
of UNREAD: in bf16 oneDNN keeps a kernel for every shape that it sees, and a server would see new ones for days."""


class Decoding:
    """A batch: `step` gives each row its next token, `keep` drops rows that need no more, `join` takes in the rows of
    another batch. Raises TrainingError for a model whose logits are no numbers.

    prompts: token ids of each, none empty. tokens: how many ids there are; a model may have weights for more.
    Where rows can join, all of their keys are kept, those beyond a sliding window too.
    With the same `seed` a prompt gets the same draws, whatever stands beside it. (Its logits may still differ in the
    last bits: padding changes the order of sums.)
    """

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[list[int]], answering: Answering, tokens: int, seed: int
    ) -> None:
        from transformers import Cache, DynamicCache

        from finetune.growing import GrowingLayer

        self._model: Any = model
        self._tokens, self._joins = tokens, can_join(model)
        kept = DynamicCache(config=model.config)
        self._keys, self._chunk = (KEYS, UNREAD) if self._joins and model.device.type == "cpu" else (1, 1)
        self._cache: Any = Cache([GrowingLayer(self._keys) for _ in kept.layers]) if self._joins else kept
        longest = max(len(ids) for ids in prompts)
        # Not a width of 1: transformers takes a single token, and no padding before it, for one that may see every key.
        width = longest if self._chunk == 1 else 1 + rounded_up(max(longest - 1, 1), self._chunk)
        self._ids, self._mask = pad_left(prompts, model.device, width)
        self._positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        self._rows = [Row(answering, draws(ids, answering, seed), 0) for ids in prompts]
        self._taken = 0

    @property
    def unread(self) -> int:
        """Tokens of the longest row that the next step reads."""
        return int(self._ids.shape[1])

    def read(self, most: int) -> int:
        """Read that many tokens of each prompt (rounded up), but for its last one; return how many it were. A long
        prompt need not hold up other batches until all of it is read."""
        count = min(rounded_up(most, self._chunk), self.unread - 1)
        if count > 0:
            self._forward(count)
            self._ids, self._positions = self._ids[:, count:], self._positions[:, count:]
        return count

    def step(self) -> list[int]:
        """The next token of every row that is left."""
        import torch

        logits = self._forward(self.unread)
        with torch.inference_mode():
            if bool(logits.isnan().any()):
                raise no_numbers(self._model)
            chosen = sample_rows(logits, self._rows, self._taken)
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
            self._ids, self._mask, self._positions = (
                table[places] for table in (self._ids, self._mask, self._positions)
            )
            self._rows = [self._rows[place] for place in rows]
            if self._joins:
                self._widen(-int((self._mask.cumsum(dim=1) == 0).all(dim=0).sum()))

    def join(self, other: Decoding) -> None:
        """Go on with the rows of `other` too, after those that are here; both have made a step, and it is used up.
        Where there is no memory for both, the rows that are here stay as they were.
        """
        import torch

        (rows, width), seen = self._mask.shape, self._cache.get_seq_length()
        with torch.inference_mode():
            try:
                more = int(other._mask.shape[1] - width)
                (self if more > 0 else other)._widen(abs(more))
                for mine, theirs in zip(self._cache.layers, other._cache.layers, strict=True):
                    mine.keys = torch.cat([mine.keys, theirs.keys])
                    mine.values = torch.cat([mine.values, theirs.values])
                self._ids, self._mask, self._positions = (
                    torch.cat(pair)
                    for pair in (
                        (self._ids, other._ids), (self._mask, other._mask), (self._positions, other._positions)
                    )
                )  # fmt: skip
            except Exception:
                self._shrink(rows, width, seen)
                raise
            began = self._taken - other._taken
            self._rows += [replace(row, began=row.began + began) for row in other._rows]

    def _shrink(self, rows: int, width: int, seen: int) -> None:
        """Leave the first rows and the last columns alone; that takes no memory."""
        self._mask = self._mask[:rows, -width:]
        for layer in self._cache.layers:
            layer.keys, layer.values = (kept[:rows, :, -seen:] for kept in (layer.keys, layer.values))

    def _forward(self, count: int) -> Tensor:
        """Read the first `count` of the ids that are not read; the logits (rows, tokens) after the last of them."""
        import torch
        from torch.nn.functional import pad

        seen = self._mask.shape[1] - self.unread + count
        mask = pad(self._mask[:, :seen], (0, rounded_up(seen, self._keys) - seen))
        with torch.inference_mode():  # here and not around the loop: a generator would leave it on between its steps
            logits: Tensor = self._model(
                input_ids=self._ids[:, :count], attention_mask=mask,
                position_ids=self._positions[:, :count], past_key_values=self._cache, use_cache=True, logits_to_keep=1,
            ).logits[:, -1, : self._tokens]  # fmt: skip
            return logits.float()

    def _widen(self, columns: int) -> None:
        """Put padding before every row, or take some of it away (columns < 0)."""
        from torch.nn.functional import pad

        if columns == 0:
            return
        self._mask = pad(self._mask, (columns, 0))
        for layer in self._cache.layers:
            layer.keys, layer.values = pad(layer.keys, (0, 0, columns, 0)), pad(layer.values, (0, 0, columns, 0))


def can_join(model: PreTrainedModel) -> bool:
    """Whether all that a model keeps of a row is the keys and values of its tokens, so that batches can be joined."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer}


def no_numbers(model: Any) -> TrainingError:
    """What to raise where a model computes nan."""
    dtype = str(model.dtype).removeprefix("torch.")
    return TrainingError(
        f"the student's logits are no numbers in {dtype}: set precision: fp32 (or bf16 where the device has it), or "
        "train it again with a lower learning_rate"
    )


def rounded_up(count: int, grain: int) -> int:
    """The least multiple of `grain` that is not below `count`."""
    return -(-count // grain) * grain


def pad_left(rows: Sequence[list[int]], device: Any, least: int = 0) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (n, longest or `least`) int64, padded at the start. What stands there is never
    seen."""
    import torch

    width = max(least, *(len(ids) for ids in rows))
    ids, mask = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = row
        mask[place, width - len(row) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def batches(lengths: Sequence[int], answer: int, tokens: int) -> list[list[int]]:
    """Places of prompts of about one length, longest first. A batch has at most `tokens`, prompts padded and answers of
    `answer` tokens included, BATCH_ROWS prompts and PREFILL_TOKENS in them; or one prompt.
    """

    def most(prompt: int) -> int:
        width = max(1, prompt)
        return min(BATCH_ROWS, PREFILL_TOKENS // width, tokens // (width + answer))

    return group(range(len(lengths)), lengths, most)


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

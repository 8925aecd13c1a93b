"""Texts -> token ids -> padded batches: the one way a classifier's input is made, for training and for answering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.batches import padded_width as padded_width

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Encoded = dict[str, list[int]]
"""One text as its tokenizer sees it: input_ids, attention_mask and what else the model wants."""


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> tuple[list[Encoded], int]:
    """Token ids of each text, cut to `max_length` tokens, and how many texts were cut."""
    if not texts:
        return [], 0
    columns = dict(tokenizer(list(texts), truncation=True, max_length=max_length, padding=False))
    encoded = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    full = [text for text, one in zip(texts, encoded, strict=True) if len(one["input_ids"]) == max_length]
    cut = 0
    if full:
        whole = tokenizer(full, truncation=False, padding=False, verbose=False)["input_ids"]
        cut = sum(len(ids) > max_length for ids in whole)
    return encoded, cut


def pad(tokenizer: PreTrainedTokenizerBase, batch: Sequence[Encoded], most: int) -> dict[str, Tensor]:
    """A batch as tensors (n, longest), padded at its end to a multiple of PAD_TO (recipes/batches.py), or to `most`: a
    base may have no positions beyond max_length.
    """
    fills = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    width = min(padded_width(max(len(one["input_ids"]) for one in batch)), most)
    return {name: _filled([one[name] for one in batch], width, fills.get(name, 0)) for name in batch[0]}


def _filled(lists: list[list[int]], width: int, fill: Any) -> Tensor:
    import torch

    table = np.full((len(lists), width), fill or 0, dtype=np.int64)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return torch.from_numpy(table)


def grouped_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits rows, so that each `batch_size` in a row are of about one length.

    A function of its arguments alone: a training that goes on in the middle of an epoch finds the same batches there
    (transformers' LengthGroupedSampler draws from the global generator, and then does not). Rows are shuffled, sorted
    by length within stretches of 50 batches, and the batches shuffled; the one with the longest text comes first, so
    that a machine with too little memory says so at once, and an incomplete one last.
    """
    rng = np.random.default_rng([seed, epoch])
    shuffled = rng.permutation(len(lengths))
    stretch = batch_size * max(1, min(50, len(lengths) // (batch_size * 4)))
    ordered = [
        place
        for start in range(0, len(shuffled), stretch)
        for place in sorted(shuffled[start : start + stretch].tolist(), key=lambda place: lengths[place])
    ]
    whole = len(ordered) // batch_size * batch_size
    batches = [ordered[start : start + batch_size] for start in range(0, whole, batch_size)]
    batches = [batches[turn] for turn in rng.permutation(len(batches))]
    if batches:
        longest = max(range(len(batches)), key=lambda turn: max(lengths[place] for place in batches[turn]))
        batches.insert(0, batches.pop(longest))
    return [place for batch in batches for place in batch] + ordered[whole:]

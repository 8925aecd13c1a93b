"""Rows as tokens -> the tensors a causal model is trained on, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from finetune.encoding import padded_width
from finetune.formats import Encoded
from finetune.packing import epoch_steps, group, pack, share

IGNORED = -100
"""Label of a token that is not under the loss."""


@dataclass(frozen=True)
class Batching:
    """How rows go through the model together.

    capacity: tokens of a packed sequence; None for rows of like length padded together, `micro_batch` at once.
    pad: id that fills up shorter rows; what it is does not matter, for padding is masked by length.
    rank, processes: which of how many processes this is.
    """

    batch_size: int
    micro_batch: int
    capacity: int | None
    pad: int
    rank: int = 0
    processes: int = 1

    def split(self, places: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """Rows in micro-batches."""
        if self.capacity is None:
            return group(places, lengths, lambda _: self.micro_batch)
        return pack(places, lengths, self.capacity)

    def tensors(self, rows: Sequence[Encoded]) -> dict[str, Any]:
        """One micro-batch."""
        return padded(rows, self.pad) if self.capacity is None else packed(rows)


def labels(row: Encoded) -> list[int]:
    """What is to be predicted at each place of a row; IGNORED for the prompt, and for the first token, which has
    nothing before it (in a packed sequence it would be predicted from another row's end).
    """
    start = max(1, row.start)
    return [IGNORED] * start + row.input_ids[start:]


def counted(row: Encoded) -> int:
    """Tokens of a row that are under the loss."""
    return max(0, len(row.input_ids) - max(1, row.start))


def packed(rows: Sequence[Encoded]) -> dict[str, Any]:
    """Rows one after the other in a sequence (1, n), positions from 0 for each; `row_lengths` is for attention.py."""
    return {
        "input_ids": torch.tensor([[token for row in rows for token in row.input_ids]]),
        "position_ids": torch.tensor([[place for row in rows for place in range(len(row.input_ids))]]),
        "labels": torch.tensor([[label for row in rows for label in labels(row)]]),
        "row_lengths": tuple(len(row.input_ids) for row in rows),
    }


def padded(rows: Sequence[Encoded], pad: int) -> dict[str, Tensor]:
    """Rows below each other (n, longest), filled up at their ends as encoding.py says; the mask is by length."""
    width = padded_width(max(len(row.input_ids) for row in rows))
    batch = {
        "input_ids": torch.full((len(rows), width), pad),
        "attention_mask": torch.zeros((len(rows), width), dtype=torch.long),
        "labels": torch.full((len(rows), width), IGNORED),
    }
    for number, row in enumerate(rows):
        length = len(row.input_ids)
        batch["input_ids"][number, :length] = torch.tensor(row.input_ids)
        batch["attention_mask"][number, :length] = 1
        batch["labels"][number, :length] = torch.tensor(labels(row))
    return batch


class Steps(Dataset[dict[str, Any]]):
    """The optimizer steps of the epoch that is set: item n is this process's part of step n.

    {"micro": [tensors of a micro-batch and the `places` of its rows], "tokens": completion tokens of the whole step}
    """

    def __init__(self, rows: Sequence[Encoded], batching: Batching, seed: int) -> None:
        self.rows, self.batching, self.seed = rows, batching, seed
        self.lengths = [len(row.input_ids) for row in rows]
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        grouped = self.batching.capacity is None
        self.steps = epoch_steps(self.lengths, self.batching.batch_size, self.seed, epoch, grouped)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> dict[str, Any]:
        step, batching = self.steps[number], self.batching
        mine = share(step, self.lengths, batching.rank, batching.processes)
        micro = [self._tensors(places) for places in batching.split(mine, self.lengths)]
        if not mine:  # the last step may have fewer rows than there are processes; each must take part all the same
            micro = [self._tensors(step[:1])]
            micro[0]["labels"].fill_(IGNORED)
        return {"micro": micro, "tokens": sum(counted(self.rows[place]) for place in step)}

    def _tensors(self, places: Sequence[int]) -> dict[str, Any]:
        return {**self.batching.tensors([self.rows[place] for place in places]), "places": tuple(places)}


class _EachStep(Sampler[list[int]]):
    """Steps in order, one at a time, in the shape the Trainer can skip the first of and tell the epoch."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    @property
    def batch_sampler(self) -> _EachStep:
        """Where the Trainer looks for what to tell the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.steps.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([number] for number in range(len(self.steps)))


def step_loader(steps: Steps) -> DataLoader[dict[str, Any]]:
    """What the Trainer draws its steps from: the steps are shared out already, and accelerate is not to do it again."""
    only: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda items: items[0]  # noqa: E731
    return DataLoader(steps, batch_sampler=_EachStep(steps), collate_fn=only)

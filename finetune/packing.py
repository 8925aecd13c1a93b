"""Which rows share an optimizer step, and which of them go through the model together: pure functions of lengths.

An optimizer step always takes `batch_size` rows, over all processes; only the last one of an epoch may have fewer. So
the learning rate of a recipe means the same packed or grouped, on one device or four. What varies is into how many
micro-batches a step falls: packed, as few sequences as hold its rows; grouped, `micro_batch` rows of like length each.
The loss of a step is the sum over its completion tokens, divided by how many there are in the whole step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finetune.encoding import grouped_order
from recipes.batches import group as group
from recipes.batches import longest_first


def epoch_steps(lengths: Sequence[int], batch_size: int, seed: int, epoch: int, grouped: bool) -> list[list[int]]:
    """The rows of each optimizer step of an epoch.

    grouped: rows of a step are of about one length. Else they are drawn at random: packing wastes nothing on unequal
    ones. A function of its arguments alone, so that a training that is taken up finds the same steps. The step with the
    longest row comes first: a machine with too little memory says so at once.
    """
    if grouped:
        order = grouped_order(lengths, batch_size, seed, epoch)
    else:
        order = np.random.default_rng([seed, epoch]).permutation(len(lengths)).tolist()
    steps = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    whole = [step for step in steps if len(step) == batch_size]
    if whole and not grouped:
        longest = max(range(len(whole)), key=lambda turn: max(lengths[place] for place in whole[turn]))
        steps.insert(0, steps.pop(longest))
    return steps


def share(step: Sequence[int], lengths: Sequence[int], rank: int, processes: int) -> list[int]:
    """The rows of a step that one of several processes takes: every so many-th by length, so that all do like work."""
    return longest_first(step, lengths)[rank::processes]


def pack(places: Sequence[int], lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows in as few sequences of at most `capacity` tokens as best-fit decreasing finds; a longer row stands alone."""
    bins: list[list[int]] = []
    room: list[int] = []
    for place in longest_first(places, lengths):
        fits = [number for number, left in enumerate(room) if left >= lengths[place]]
        if fits:
            best = min(fits, key=lambda number: room[number])
            bins[best].append(place)
            room[best] -= lengths[place]
        else:
            bins.append([place])
            room.append(capacity - lengths[place])
    return bins

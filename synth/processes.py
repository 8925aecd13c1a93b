"""Several processes that do one work together: a local teacher's labels, a student's training.

    torchrun --nproc_per_node 2 -m synth recipe.yaml       two on a CPU, where accelerate launch starts one whatever it
                                                           is told; torchrun refuses --run: it has --run-path
    accelerate launch -m synth recipe.yaml                 one for each GPU

All run the same program. The first one holds the lock, the journal and the word; the others take part in the work
alone. What a process must know beforehand is in the environment (RANK, WORLD_SIZE): torch is imported only where there
is more than one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

PATIENCE = timedelta(days=14)
"""How long a process waits for another: the first may ask a teacher for days. torch's own limit is half an hour."""
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "GROUP_", "ROLE_", "TORCHELASTIC_", "ACCELERATE_")
"""How the variables begin that make a process one of several."""


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process is the one that speaks and writes."""
    return rank() == 0


def wait() -> None:
    """Go on when all processes have come here."""
    agree(lambda: None)


def agree(value: Callable[[], T]) -> T:
    """What `value` gives in the first process, in all of them; the others do not call it, and wait."""
    if count() == 1:
        return value()
    import torch
    import torch.distributed

    _join()
    told: list[T | None] = [value() if leads() else None]
    # twice: a broadcast alone would let the first process run ahead of one that still reads what it is about to write
    for _ in range(2):
        torch.distributed.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    return told[0]  # type: ignore[return-value]


def gather(value: T) -> list[T]:
    """The values of all processes, in the order of their numbers, in each of them."""
    if count() == 1:
        return [value]
    import torch.distributed

    _join()
    values: list[T | None] = [None] * count()
    torch.distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def add_up(values: list[float]) -> list[float]:
    """The sums over all processes, in each of them."""
    if count() == 1:
        return values
    import torch
    import torch.distributed

    _join()
    sums = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(sums)
    return [float(one) for one in sums]


def leave() -> None:
    """Part from the others: what comes now is for one process."""
    if count() > 1:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def alone() -> dict[str, str]:
    """The environment for a child process that is to run by itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHED)}


def on_cpu() -> bool:
    """Whether the processes were launched for the CPU, or there is nothing else."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes") or not torch.cuda.is_available()


def _join() -> None:
    import torch
    import torch.distributed

    if torch.distributed.is_initialized():
        return
    if not on_cpu():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # gloo beside nccl: what processes tell each other is no tensor of the GPU, and to wait must cost nothing
    torch.distributed.init_process_group("gloo" if on_cpu() else "cpu:gloo,cuda:nccl", timeout=PATIENCE)

"""How long the steps of a Trainer take."""

from __future__ import annotations

import time
from typing import Any


def seconds_of(trainer: Any, warm_up: int = 0) -> float:
    """Train; the seconds from the begin of the first step to the end of the last one, less `warm_up` steps."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        first = last = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == warm_up:
                self.first = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.last = time.perf_counter()  # each step's loss is logged, which waits for a GPU

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.last - clock.first

"""Train to the end, from a checkpoint where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from finetune import processes
from finetune.checkpoints import Checkpoints
from finetune.course import Saving
from finetune.interrupts import on_first_interrupt
from finetune.watch import CLOCK, Saver
from recipes.console import say


def train_to_end(
    trainer: Any, title: str, checkpoints: Checkpoints, saving: Saving, is_over: Callable[[dict[str, Any]], bool]
) -> float:
    """Run a trainer (with `steps_per_epoch` and `take_up`); return the seconds spent in all.

    is_over: whether the state in a checkpoint is that of a training that had come to its end when it was stopped.
    Raises KeyboardInterrupt after Ctrl-C, when the step is done and a checkpoint of it is written; at a second one, at
    once.
    """
    start = processes.agree(checkpoints.newest)
    spent = 0.0
    if start is not None:
        step = int(start.name.removeprefix("checkpoint-"))
        spent = float(orjson.loads((start / CLOCK).read_bytes()))
        say(f"{title}: going on from step {step}")
    stopping = f"{title}: this step is finished and a checkpoint written, then it stops; Ctrl-C again stops at once"
    with on_first_interrupt(stopping) as wish:
        saver = Saver(checkpoints, trainer.steps_per_epoch, spent, saving, wish)
        trainer.add_callback(saver)
        if start is not None and is_over(checkpoints.state(step)):
            trainer.take_up(start)
            return spent
        try:
            trainer.train(resume_from_checkpoint=None if start is None else str(start))
            saver.end_if_wished()
        except KeyboardInterrupt:
            kept = checkpoints.newest() if processes.leads() else None  # it removes what is broken: one does
            since = "the beginning" if kept is None else f"step {kept.name.removeprefix('checkpoint-')}"
            say(f"{title}: stopped at step {trainer.state.global_step}; the same command goes on from {since}")
            raise
    return saver.seconds()

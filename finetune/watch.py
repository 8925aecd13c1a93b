"""What happens beside the training steps: checkpoints, the end when scores no longer rise, a sentence per epoch."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import orjson
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune import processes
from finetune.checkpoints import Checkpoints
from finetune.course import Saving
from finetune.interrupts import Wish
from recipes.console import say
from recipes.runs import write_atomic

CLOCK = "clock.json"
SCORE = "eval_macro_f1"
BEST = "eval_best"
_TIE = 1e-9
"""So little of the loss that it decides between equal scores alone."""


@dataclass(frozen=True)
class Score:
    """What chooses the best epoch: its key in the Trainer's log, and what it is called. falls: less of it is better.

    Of epochs with an equal score the one with the lower loss is better: while nothing is right yet, they are not alike.
    """

    key: str
    words: str
    falls: bool = False

    @property
    def chooser(self) -> str:
        """The key of what the Trainer is to compare: a loss itself, or a score with its loss (`untied`)."""
        return self.key if self.falls else BEST

    def history(self, state: TrainerState | dict[str, Any]) -> list[float]:
        """Its value in each validation so far, higher being better; the Trainer keeps them in its checkpoints."""
        return self._rising(scores(state, self.key))

    def ranks(self, state: TrainerState | dict[str, Any]) -> list[float]:
        """The same, of what epochs are compared by."""
        return self._rising(scores(state, self.chooser))

    def _rising(self, values: list[float]) -> list[float]:
        return [-value for value in values] if self.falls else values


MACRO_F1 = Score(SCORE, "macro F1")
LOSS = Score("eval_loss", "loss", falls=True)


def untied(score: float, loss: float) -> float:
    """A score that is a little higher where the loss is lower."""
    return score - _TIE * loss


def scores(state: TrainerState | dict[str, Any], key: str = SCORE) -> list[float]:
    """Validation score of each epoch so far; the Trainer keeps them in its checkpoints."""
    history = state["log_history"] if isinstance(state, dict) else state.log_history
    return [float(entry[key]) for entry in history if key in entry]


def out_of_patience(history: list[float], patience: int) -> bool:
    """Whether `patience` epochs have gone by without one better than the best; an equal one is not better."""
    return bool(history) and len(history) - 1 - history.index(max(history)) >= patience


class Patience(TrainerCallback):
    """Stops a training whose validation score no longer rises.

    Worked out from the scores on record, unlike transformers' EarlyStoppingCallback, whose counter a resumed training
    would have to be given back.
    """

    def __init__(self, patience: int, score: Score = MACRO_F1) -> None:
        self.patience, self.score = patience, score

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if out_of_patience(self.score.ranks(state), self.patience):
            control.should_training_stop = True


class Saver(TrainerCallback):
    """Asks for checkpoints within an epoch (its end has one anyway), seals each, and ends the training with
    KeyboardInterrupt after one where that is wished for: the Trainer's own way to stop would validate first, and put a
    score on record that a training in one go does not have.

    Also keeps the clock: seconds spent, earlier processes included.
    """

    def __init__(
        self, checkpoints: Checkpoints, steps_per_epoch: int, seconds: float, saving: Saving, wish: Wish
    ) -> None:
        self.checkpoints, self.saving, self.wish = checkpoints, saving, wish
        self.steps_per_epoch = steps_per_epoch
        self.started = time.monotonic() - seconds
        self.saved = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.steps_per_epoch == 0:
            return  # saved once, after the epoch's validation
        due = self.saving.every_steps > 0 and state.global_step % self.saving.every_steps == 0
        if due or processes.agree(self._is_time):
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        processes.wait()  # each of several processes writes its own random state
        if processes.leads():
            clock = self.checkpoints.path(state.global_step) / CLOCK
            write_atomic(clock, orjson.dumps(round(self.seconds(), 3)))
            self.checkpoints.seal(state.global_step)
        self.saved = time.monotonic()
        self.end_if_wished()

    def _is_time(self) -> bool:
        return self.wish.heard or time.monotonic() - self.saved >= self.saving.every_seconds

    def end_if_wished(self) -> None:
        """Raise KeyboardInterrupt, in all processes, where the first of them has heard Ctrl-C."""
        if processes.agree(lambda: self.wish.heard):
            raise KeyboardInterrupt


class Narrator(TrainerCallback):
    """Says how each epoch went: loss, validation score, rows/s, time left."""

    def __init__(
        self, title: str, rows: int, epochs: int, steps_per_epoch: int, validated: bool, score: Score = MACRO_F1
    ) -> None:
        self.title, self.rows, self.epochs, self.validated = title, rows, epochs, validated
        self.steps_per_epoch = steps_per_epoch
        self.score = score
        self.began, self.step = time.monotonic(), 0

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.began, self.step = time.monotonic(), state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self.validated:
            self._say(state)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        history, ranks = self.score.history(state), self.score.ranks(state)
        best = ", the best so far" if ranks and ranks[-1] > max(ranks[:-1], default=-math.inf) else ""
        if best and history[-1] <= max(history[:-1], default=-math.inf):
            best += " by its lower loss"
        self._say(state, f", validation {self.score.words} {abs(history[-1]):.3f}{best}")

    def _say(self, state: TrainerState, score: str = "") -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry][-self.steps_per_epoch :]
        pace = (state.global_step - self.step) / max(
            time.monotonic() - self.began, 1e-9
        )  # steps a second, this process
        rate = pace * self.rows / self.steps_per_epoch
        left = (self.epochs * self.steps_per_epoch - state.global_step) / max(pace, 1e-9)
        say(
            f"{self.title}: epoch {state.global_step // self.steps_per_epoch} of {self.epochs}, "
            f"loss {sum(losses) / len(losses):.3f}{score}, {rate:,.0f} rows/s, {duration(left)} left at most"
        )


def duration(seconds: float) -> str:
    """A time in words, about as precise as it is known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

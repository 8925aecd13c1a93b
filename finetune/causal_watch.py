"""What happens beside the steps of a generative student: when its validation loss is taken, when it is enough, and a
sentence each time.
"""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune import processes
from finetune.watch import duration, out_of_patience
from recipes.console import say

LOSS = "eval_loss"
EVERY = 60.0
"""Seconds between two sentences where nothing else is said."""


def validation_losses(state: TrainerState | dict[str, Any]) -> list[float]:
    """Validation losses so far; the Trainer keeps them in its checkpoints."""
    history = state["log_history"] if isinstance(state, dict) else state.log_history
    return [float(entry[LOSS]) for entry in history if LOSS in entry]


def is_enough(state: TrainerState | dict[str, Any], patience: int) -> bool:
    """Whether `patience` validations have gone by without a loss below the best."""
    return out_of_patience([-loss for loss in validation_losses(state)], patience)


def validation_steps(per_epoch: int, epochs: int, evaluations: int) -> frozenset[int]:
    """Steps after which the validation loss is taken: `evaluations` times an epoch, evenly, its end included."""
    times = min(evaluations, per_epoch)
    within = {math.ceil(per_epoch * turn / times) for turn in range(1, times + 1)}
    return frozenset(epoch * per_epoch + step for epoch in range(epochs) for step in within)


class Rhythm(TrainerCallback):
    """Asks for validation and checkpoint at their steps, and ends a training whose loss no longer falls."""

    def __init__(self, steps: frozenset[int], patience: int, validated: bool) -> None:
        self.steps, self.patience, self.validated = steps, patience, validated

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step in self.steps:
            control.should_evaluate, control.should_save = self.validated, True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if is_enough(state, self.patience):
            control.should_training_stop = True


class CausalNarrator(TrainerCallback):
    """Says how the training goes: loss, validation loss, tokens/s, time left.

    tokens: counts the tokens that have gone through the model in this process.
    """

    def __init__(self, title: str, per_epoch: int, epochs: int, validated: bool) -> None:
        self.title, self.per_epoch, self.epochs, self.validated = title, per_epoch, epochs, validated
        self.tokens = 0
        self.began = self.said = time.monotonic()
        self.first: int | None = None
        self.told = 0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.first is None:
            self.first, self.began = state.global_step, time.monotonic()
            self.told = state.global_step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        due = time.monotonic() - self.said >= EVERY
        ends = not self.validated and state.global_step % self.per_epoch == 0 and state.global_step > self.told
        if due or ends:
            self._say(state)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        losses = validation_losses(state)
        best = ", the best so far" if losses[-1] < min(losses[:-1], default=math.inf) else ""
        self._say(state, f", validation loss {losses[-1]:.3f} (perplexity {perplexity(losses[-1]):,.1f}){best}")

    def _say(self, state: TrainerState, more: str = "") -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry and entry["step"] > self.told]
        losses = losses or [entry["loss"] for entry in state.log_history if "loss" in entry][-1:]
        spent = max(time.monotonic() - self.began, 1e-9)
        pace = (state.global_step - (self.first or 0)) / spent
        left = (self.epochs * self.per_epoch - state.global_step) / max(pace, 1e-9)
        rate = processes.count() * self.tokens / spent
        say(
            f"{self.title}: step {state.global_step:,} of {self.epochs * self.per_epoch:,}, loss "
            f"{sum(losses) / len(losses):.3f}{more}, {rate:,.0f} tokens/s, {duration(left)} left at most"
        )
        self.said, self.told = time.monotonic(), state.global_step


def perplexity(loss: float) -> float:
    """e to the loss in nats a token; infinite where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf

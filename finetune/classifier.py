"""Train an encoder with a classification head: one model for one seed.

A training which goes on after a stop is the training it would have been: on a CPU the weights are the same to the last
bit.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.torch import load_file
from transformers import set_seed

from finetune.bases import check_length, load_classifier, load_tokenizer
from finetune.checkpoints import Checkpoints, best_step
from finetune.classifier_trainer import ClassifierTrainer, examples, score_of
from finetune.course import Course, Saving
from finetune.mishaps import check_weights, said_plainly
from finetune.permissions import as_usual
from finetune.record import EpochRecord, SeedRecord
from finetune.resuming import train_to_end
from finetune.silence import quiet
from finetune.watch import LOSS, SCORE, out_of_patience
from recipes.console import say


def train_classifier(course: Course, folder: Path, work: Path, saving: Saving) -> SeedRecord:
    """Train one seed and write its model (safetensors, tokenizer, config) to `folder`; checkpoints go to `work`.

    Where `work` holds checkpoints of the same training, it goes on from the newest whole one. Raises TrainingError for
    a base that cannot be loaded, a loss or weights that are not finite, and too little memory.
    """
    memory = (
        f"on the {course.machine.device} with batch_size {course.student.batch_size} and max_length "
        f"{course.student.max_length}: lower one in the recipe"
    )
    with quiet(), said_plainly(course.title, work, memory):
        set_seed(course.seed)  # a new head is drawn now
        tokenizer = load_tokenizer(course.base)
        model = load_classifier(course.base, course.labels, course.multi_label)
        check_length(course.title, course.student.max_length, course.base, tokenizer, model)
        training, truncated = examples(tokenizer, course.training, course.student.max_length)
        validation, also = examples(tokenizer, course.validation, course.student.max_length)
        if truncated or also:
            both = f"{truncated:,} training and {also:,} validation texts"
            say(f"{course.title}: {both} are cut at {course.student.max_length} tokens (max_length)")
        checkpoints = Checkpoints(work, course.fingerprint)
        trainer = ClassifierTrainer(course, model, tokenizer, training, validation, work)
        seconds = train_to_end(trainer, course.title, checkpoints, saving, partial(_is_over, course))
        state = trainer.state.log_history
        best = best_step({"best_global_step": trainer.state.best_global_step})
        if best is not None and best != trainer.state.global_step:
            model.load_state_dict(load_file(checkpoints.path(best) / "model.safetensors"))
        check_weights(course.title, course.student.learning_rate, model)
        tokenizer.model_max_length = course.student.max_length  # pipeline(..., truncation=True) then cuts where we do
        cast(Any, model).to("cpu").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        as_usual(folder)
    return _record(course, state, best, trainer.steps_per_epoch, seconds, truncated)


def _is_over(course: Course, state: dict[str, Any]) -> bool:
    return out_of_patience(score_of(course).ranks(state), course.student.patience)


def _record(
    course: Course, history: list[dict[str, Any]], best: int | None, per_epoch: int, seconds: float, truncated: int
) -> SeedRecord:
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    evaluated = [entry for entry in history if SCORE in entry]
    epochs = [
        EpochRecord(
            epoch=number + 1,
            loss=float(np.mean(losses[number * per_epoch : (number + 1) * per_epoch])),
            macro_f1=evaluated[number][SCORE] if evaluated else None,
            accuracy=evaluated[number]["eval_accuracy"] if evaluated else None,
            validation_loss=evaluated[number][LOSS.key] if evaluated else None,
        )
        for number in range(math.ceil(len(losses) / per_epoch))
    ]
    chosen = epochs[-1 if best is None else best // per_epoch - 1]
    return SeedRecord(
        fingerprint=course.fingerprint, seed=course.seed, best_epoch=chosen.epoch, macro_f1=chosen.macro_f1,
        accuracy=chosen.accuracy, validation_loss=chosen.validation_loss, steps=len(losses), seconds=round(seconds, 1),
        device=course.machine.device, precision=course.machine.precision, truncated=truncated, epochs=epochs,
        losses=losses,
    )  # fmt: skip

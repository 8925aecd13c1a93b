"""Train an encoder with a classification head: one model for one seed.

A training which goes on after a stop is the training it would have been: on a CPU the weights are the same to the last
bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import set_seed

from finetune.bases import load_classifier, load_tokenizer, longest_input
from finetune.checkpoints import Checkpoints, best_step
from finetune.classifier_trainer import ClassifierTrainer, examples
from finetune.course import Course, Saving
from finetune.hardware import is_out_of_memory
from finetune.record import EpochRecord, SeedRecord
from finetune.silence import quiet
from finetune.watch import CLOCK, SCORE, Saver, out_of_patience, scores
from recipes.console import say
from recipes.errors import RunError, TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def train_classifier(course: Course, folder: Path, work: Path, saving: Saving) -> SeedRecord:
    """Train one seed and write its model (safetensors, tokenizer, config) to `folder`; checkpoints go to `work`.

    Where `work` holds checkpoints of the same training, it goes on from the newest whole one. Raises TrainingError for
    a base that cannot be loaded, a loss or weights that are not finite, and too little memory.
    """
    with quiet(), _said_plainly(course, work):
        set_seed(course.seed)  # a new head is drawn now
        tokenizer = load_tokenizer(course.base)
        model = load_classifier(course.base, course.labels)
        _check_length(course, tokenizer, model)
        training, truncated = examples(tokenizer, course.training, course.student.max_length)
        validation, also = examples(tokenizer, course.validation, course.student.max_length)
        if truncated or also:
            both = f"{truncated:,} training and {also:,} validation texts"
            say(f"{course.title}: {both} are cut at {course.student.max_length} tokens (max_length)")
        checkpoints = Checkpoints(work, course.fingerprint)
        trainer = ClassifierTrainer(course, model, tokenizer, training, validation, work)
        seconds = _run(trainer, course, checkpoints, saving)
        state = trainer.state.log_history
        best = best_step({"best_global_step": trainer.state.best_global_step})
        if best is not None and best != trainer.state.global_step:
            model.load_state_dict(load_file(checkpoints.path(best) / "model.safetensors"))
        _check_weights(course, model)
        tokenizer.model_max_length = course.student.max_length  # pipeline(..., truncation=True) then cuts where we do
        cast(Any, model).to("cpu").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return _record(course, state, best, trainer.steps_per_epoch, seconds, truncated)


def _run(trainer: ClassifierTrainer, course: Course, checkpoints: Checkpoints, saving: Saving) -> float:
    """Train to the end, from a checkpoint where there is one; return the seconds spent in all."""
    start = checkpoints.newest()
    spent = 0.0
    if start is not None:
        step = int(start.name.removeprefix("checkpoint-"))
        spent = float(orjson.loads((start / CLOCK).read_bytes()))
        say(f"{course.title}: going on from step {step}")
    saver = Saver(checkpoints, trainer.steps_per_epoch, spent, saving.every_seconds, saving.every_steps)
    trainer.add_callback(saver)
    if start is not None and out_of_patience(scores(checkpoints.state(step)), course.student.patience):
        trainer.take_up(start)  # it had come to its end when it was stopped
        return spent
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    except KeyboardInterrupt:
        kept = checkpoints.newest()
        since = "the beginning" if kept is None else f"step {kept.name.removeprefix('checkpoint-')}"
        say(f"{course.title}: stopped at step {trainer.state.global_step}; the same command goes on from {since}")
        raise
    return saver.seconds()


@contextmanager
def _said_plainly(course: Course, work: Path) -> Iterator[None]:
    """What can stop a training from outside, from its first weight loaded to its last one written, as one sentence."""
    try:
        yield
    except (RuntimeError, MemoryError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise TrainingError(
                f"{course.title}: out of memory on the {course.machine.device} with batch_size "
                f"{course.student.batch_size} and max_length {course.student.max_length}: lower one in the recipe"
            ) from None
        if not any(sign in str(error) for sign in ("PytorchStreamWriter", "No space left")):
            raise
        raise RunError(
            f"{work}: a checkpoint or the model cannot be written (is the disk full?): make room and run the same "
            "command again; it goes on from the checkpoint before"
        ) from None


def _check_weights(course: Course, model: PreTrainedModel) -> None:
    """Refuse weights that are no numbers: the loss does not show what the last step of all did to them."""
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        student = course.student
        raise TrainingError(
            f"{course.title}: the weights are no numbers at the end of training: lower learning_rate "
            f"({student.learning_rate:g}) or set precision: fp32"
        )


def _check_length(course: Course, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse texts longer than the base has positions for."""
    most = longest_input(course.base, tokenizer, model)
    if course.student.max_length > most:
        raise TrainingError(
            f"{course.title}: max_length {course.student.max_length} is more than {course.base.name} takes: "
            f"set it to {most} or less"
        )


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
        )
        for number in range(math.ceil(len(losses) / per_epoch))
    ]
    chosen = epochs[-1 if best is None else best // per_epoch - 1]
    return SeedRecord(
        fingerprint=course.fingerprint, seed=course.seed, best_epoch=chosen.epoch, macro_f1=chosen.macro_f1,
        accuracy=chosen.accuracy, steps=len(losses), seconds=round(seconds, 1), device=course.machine.device,
        precision=course.machine.precision, truncated=truncated, epochs=epochs, losses=losses,
    )  # fmt: skip

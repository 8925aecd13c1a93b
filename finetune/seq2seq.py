"""Train an encoder with a decoder: one model for one seed.

A training which goes on after a stop is the training it would have been: on a CPU the weights are the same to the last
bit.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import set_seed

from finetune.checkpoints import Checkpoints, best_step
from finetune.course import Saving
from finetune.mishaps import check_weights, said_plainly
from finetune.permissions import as_usual
from finetune.resuming import train_to_end
from finetune.seq2seq_course import Seq2seqCourse
from finetune.seq2seq_model import check_positions, greedy, load_seq2seq
from finetune.seq2seq_record import Seq2seqEpoch, Seq2seqSeed
from finetune.seq2seq_scratch import make_t5
from finetune.seq2seq_trainer import TUPLE_F1, Seq2seqTrainer, score_of
from finetune.silence import quiet
from finetune.watch import LOSS, out_of_patience
from recipes.seq2seq_memory import MOST_TOKENS, token_bytes, tokens_that_fit


def train_seq2seq(course: Seq2seqCourse, folder: Path, work: Path, saving: Saving) -> Seq2seqSeed:
    """Train one seed and write its model (safetensors, tokenizer, config) to `folder`; checkpoints go to `work`.

    Where `work` holds checkpoints of the same training, it goes on from the newest whole one. Raises TrainingError for
    a base that cannot be loaded or used, a loss or weights that are not finite, and too little memory.
    """
    student, tokenizer = course.student, course.codec.tokenizer
    memory = (
        f"on the {course.machine.device} with max_length {student.max_length} and max_target_length "
        f"{student.max_target_length}: lower one in the recipe" + (", or parallel" if course.at_once > 1 else "")
    )
    with quiet(), said_plainly(course.title, work, memory):
        model = _model(course)
        checkpoints = Checkpoints(work, course.fingerprint)
        trainer = Seq2seqTrainer(course, model, _micro_tokens(course, model), work)
        seconds = train_to_end(trainer, course.title, checkpoints, saving, partial(_is_over, course))
        history = trainer.state.log_history
        best = best_step({"best_global_step": trainer.state.best_global_step})
        if best is not None and best != trainer.state.global_step:
            trainer.take_weights(checkpoints.path(best))
        check_weights(course.title, student.learning_rate, model)
        tokenizer.model_max_length = student.max_length  # pipeline(..., truncation=True) then cuts where we do
        model.to("cpu").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        as_usual(folder)
    return _record(course, trainer, history, best, seconds)


def _model(course: Seq2seqCourse) -> Any:
    set_seed(course.seed)  # what is new is drawn now
    tokenizer = course.codec.tokenizer
    if course.student.base == "scratch":
        model: Any = make_t5(course.student, tokenizer, course.seed)
    else:
        model = load_seq2seq(course.base, tokenizer)
    check_positions(course.title, course.student, course.base, model.config)
    model.generation_config = greedy(model, tokenizer, course.student.max_target_length)
    return model


def _micro_tokens(course: Seq2seqCourse, model: Any) -> int:
    """On a CPU always the same, so that a training is the same on all of them."""
    if course.machine.device != "cuda":
        return MOST_TOKENS
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    each = token_bytes(model.config.to_dict(), course.machine.precision)
    return tokens_that_fit(total, course.at_once, model.num_parameters(), each)


def _is_over(course: Seq2seqCourse, state: dict[str, Any]) -> bool:
    return out_of_patience(score_of(course).ranks(state), course.student.patience)


def _record(
    course: Seq2seqCourse, trainer: Seq2seqTrainer, history: list[dict[str, Any]], best: int | None, seconds: float
) -> Seq2seqSeed:
    per_epoch = trainer.steps_per_epoch
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    checked = {
        round(int(entry["step"]) / per_epoch): entry for entry in history if LOSS.key in entry or TUPLE_F1.key in entry
    }
    epochs = [
        Seq2seqEpoch(
            epoch=number,
            loss=float(np.mean(losses[(number - 1) * per_epoch : number * per_epoch])),
            validation_loss=checked.get(number, {}).get(LOSS.key),
            score=checked.get(number, {}).get(TUPLE_F1.key),
        )
        for number in range(1, math.ceil(len(losses) / per_epoch) + 1)
    ]
    chosen = epochs[-1 if best is None else best // per_epoch - 1]
    return Seq2seqSeed(
        fingerprint=course.fingerprint, seed=course.seed, best_epoch=chosen.epoch, score=chosen.score,
        validation_loss=chosen.validation_loss, steps=len(losses), steps_per_epoch=per_epoch, seconds=round(seconds, 1),
        device=course.machine.device, precision=course.machine.precision, micro_tokens=trainer.micro_tokens,
        epochs=epochs, losses=losses,
    )  # fmt: skip

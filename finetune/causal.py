"""Train a causal language model on rows: one model for one seed, an adapter in 4 bits or all weights.

A training which goes on after a stop is the training it would have been: on a CPU the weights are the same to the last
bit.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from transformers import set_seed

from finetune import processes
from finetune.adapters import save_student
from finetune.causal_batches import Batching, counted
from finetune.causal_model import add_lora, check_fit, load_causal, packs_exactly
from finetune.causal_plan import Plan, plan_training
from finetune.causal_record import CausalSeed, Validation
from finetune.causal_trainer import CausalTrainer
from finetune.causal_watch import LOSS, is_enough
from finetune.checkpoints import Checkpoints, best_step
from finetune.course import CausalCourse, Saving
from finetune.mishaps import check_weights, said_plainly
from finetune.resuming import train_to_end
from finetune.scratch import make_model
from finetune.silence import quiet
from finetune.trackers import check_trackers, tracked
from finetune.unsloth_backend import load_unsloth
from recipes.errors import TrainingError


def train_causal(course: CausalCourse, folder: Path, work: Path, saving: Saving) -> CausalSeed:
    """Train one seed and write its adapter, or its whole model, and tokenizer to `folder`; checkpoints go to `work`.

    Where `work` holds checkpoints of the same training, it goes on from the newest whole one. Raises TrainingError for
    a base that cannot be loaded or used, a loss that is not finite, a tracker that is not installed, and too little
    memory.
    """
    check_trackers(course)
    memory = (
        f"on the {course.machine.device}: set micro_batch: 1 and gradient_checkpointing: on in the recipe, then lower "
        "max_length, lora.rank or batch_size"
    )
    with quiet(), said_plainly(course.title, work, memory):
        plan = plan_training(course)
        model = model_to_train(course, plan)
        batching = make_batching(course, model, plan)
        checkpoints = Checkpoints(work, course.fingerprint)
        trainer = CausalTrainer(course, model, batching, plan, work)
        with tracked(trainer, course, work.parent.parent / "logs"):
            seconds = train_to_end(trainer, course.title, checkpoints, saving, partial(_is_over, course))
        history = trainer.state.log_history
        best = best_step({"best_global_step": trainer.state.best_global_step}) or trainer.state.global_step
        if best != trainer.state.global_step:
            trainer.take_weights(checkpoints.path(best))
        check_weights(course.title, course.student.learning_rate, trainer.model)
        if processes.leads():
            save_student(trainer.model, course, folder)
    return _record(course, trainer, plan, history, best, seconds)


def model_to_train(course: CausalCourse, plan: Plan) -> Any:
    """The model that is trained: the base with an adapter, or the base itself, or a new one."""
    student = course.student
    set_seed(course.seed)  # what is new is drawn now
    if plan.backend == "unsloth":
        return load_unsloth(course, plan.checkpointing)
    if student.base == "scratch":
        model: Any = make_model(student, course.tokenizer, course.seed)
    else:
        model = load_causal(course.base, course.machine, student.quantization == "nf4", whole=student.lora is None)
    check_fit(course.base, model, course.tokenizer, student.max_length)
    model.config.use_cache = False
    return model if student.lora is None else add_lora(course.base, model, student.lora)


def make_batching(course: CausalCourse, model: Any, plan: Plan) -> Batching:
    """How rows go through this model together."""
    student = course.student
    packed = student.packing != "grouped" and plan.backend == "plain" and packs_exactly(model, len(course.tokenizer))
    if student.packing == "packed" and not packed:
        raise TrainingError(
            f"{course.title}: in {course.base.name} rows of a packed sequence see each other: set packing: grouped"
        )
    capacity = plan.micro_batch * student.max_length if packed else None
    pad = course.tokenizer.pad_token_id or 0
    return Batching(student.batch_size, plan.micro_batch, capacity, pad, processes.rank(), processes.count())


def _is_over(course: CausalCourse, state: dict[str, Any]) -> bool:
    return is_enough(state, course.student.patience)


def _record(
    course: CausalCourse, trainer: CausalTrainer, plan: Plan, history: list[dict[str, Any]], best: int, seconds: float
) -> CausalSeed:
    losses = [float(entry["loss"]) for entry in history if "loss" in entry]
    validations = [Validation(step=int(entry["step"]), loss=float(entry[LOSS])) for entry in history if LOSS in entry]
    seen = sum(trainer.steps.lengths) * len(losses) / trainer.steps_per_epoch
    return CausalSeed(
        fingerprint=course.fingerprint, seed=course.seed, best_step=best,
        validation_loss=next((one.loss for one in validations if one.step == best), None), steps=len(losses),
        steps_per_epoch=trainer.steps_per_epoch, seconds=round(seconds, 1),
        completion_tokens_per_epoch=sum(counted(row) for row in course.training.rows),
        tokens_per_second=round(seen / max(seconds, 1e-9), 1),
        device=course.machine.device, precision=course.machine.precision, backend=plan.backend,
        packed=trainer.batching.capacity is not None, micro_batch=plan.micro_batch,
        gradient_checkpointing=plan.checkpointing, validations=validations, losses=losses,
    )  # fmt: skip

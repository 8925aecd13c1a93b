"""Train an encoder with a classification head: one model for one seed.

transformers' Trainer does the steps. Ours are the loss, the order of the rows, which checkpoints count, and that a
training which goes on is the training it would have been: on a CPU the weights are the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Sampler
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainingArguments, set_seed

from finetune.bases import load_classifier, load_tokenizer, longest_input
from finetune.checkpoints import Checkpoints, best_step
from finetune.course import Course, Saving
from finetune.encoding import encode, grouped_order, pad
from finetune.lessons import Lesson
from finetune.losses import distillation_loss
from finetune.record import EpochRecord, SeedRecord
from finetune.silence import quiet
from finetune.watch import CLOCK, SCORE, Narrator, Patience, Saver, out_of_patience, scores
from recipes.console import say
from recipes.errors import RunError, TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EVAL_BATCH = 64


def train_classifier(course: Course, folder: Path, work: Path, saving: Saving) -> SeedRecord:
    """Train one seed and write its model (safetensors, tokenizer, config) to `folder`; checkpoints go to `work`.

    Where `work` holds checkpoints of the same training, it goes on from the newest whole one. Raises TrainingError for
    a base that cannot be loaded, a loss that is not finite, and too little memory.
    """
    with quiet():
        set_seed(course.seed)  # a new head is drawn now
        tokenizer = load_tokenizer(course.base)
        model = load_classifier(course.base, course.labels)
        _check_length(course, tokenizer, model)
        training, truncated = examples(tokenizer, course.training, course.student.max_length)
        validation, _ = examples(tokenizer, course.validation, course.student.max_length)
        if truncated:
            say(f"{course.title}: {truncated:,} texts are cut at {course.student.max_length} tokens (max_length)")
        checkpoints = Checkpoints(work, course.fingerprint)
        trainer = ClassifierTrainer(course, model, tokenizer, training, validation, work)
        seconds = _run(trainer, course, checkpoints, saving)
        state = trainer.state.log_history
        best = best_step({"best_global_step": trainer.state.best_global_step})
        if best is not None and best != trainer.state.global_step:
            model.load_state_dict(load_file(checkpoints.path(best) / "model.safetensors"))
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
    except torch.OutOfMemoryError:
        raise TrainingError(
            f"{course.title}: out of memory on the {course.machine.device} with batch_size {course.student.batch_size} "
            f"and max_length {course.student.max_length}: lower one of them in the recipe"
        ) from None
    except (RuntimeError, SafetensorError) as error:
        if not any(sign in str(error) for sign in ("PytorchStreamWriter", "No space left")):
            raise
        raise RunError(
            f"{checkpoints.folder}: a checkpoint cannot be written (is the disk full?): make room and run the same "
            "command again; it goes on from the checkpoint before"
        ) from None
    return saver.seconds()


class ClassifierTrainer(Trainer):
    """The Trainer with our loss and our order of rows."""

    def __init__(
        self,
        course: Course,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        training: list[dict[str, Any]],
        validation: list[dict[str, Any]],
        work: Path,
    ) -> None:
        self.course = course
        self.lengths = [len(example["input_ids"]) for example in training]
        self.steps_per_epoch = math.ceil(len(training) / course.student.batch_size)
        super().__init__(
            model=model,
            args=_arguments(course, work, bool(validation)),
            data_collator=lambda batch: _collate(tokenizer, batch),
            train_dataset=training,
            eval_dataset=validation or None,
            processing_class=tokenizer,
            compute_metrics=_scores,
            callbacks=[
                Narrator(course.title, len(training), course.student.epochs, self.steps_per_epoch, bool(validation)),
                *([Patience(course.student.patience)] if validation else []),
            ],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False  # ours is a mean over the batch, whatever the model's own loss would do

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedSampler:
        return GroupedSampler(self.lengths, self.course.student.batch_size, self.course.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean distillation loss of a batch. Raises TrainingError, with the rows, where it is not a number."""
        features = {name: value for name, value in inputs.items() if name not in ("labels", "places")}
        outputs = model(**features)
        student = self.course.student
        temperature = student.temperature if student.targets == "soft" else 1.0
        loss = distillation_loss(outputs["logits"], inputs["labels"], temperature)
        if model.training and not torch.isfinite(loss):
            ids = ", ".join(self.course.training.ids[place] for place in inputs["places"].tolist())
            raise TrainingError(
                f"{self.course.title}: the loss is {loss.item()} at step {self.state.global_step + 1} (rows {ids}): "
                f"lower learning_rate ({student.learning_rate:g}) or set precision: fp32"
            )
        return (loss, outputs) if return_outputs else loss

    def take_up(self, checkpoint: Path) -> None:
        """Weights and state of a checkpoint, without training on."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = self.state.load_from_json(str(checkpoint / "trainer_state.json"))


class GroupedSampler(Sampler[int]):
    """The rows of an epoch in `grouped_order`; the Trainer tells it the epoch."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(grouped_order(self.lengths, self.batch_size, self.seed, self.epoch))


def _arguments(course: Course, work: Path, validated: bool) -> TrainingArguments:
    student, machine = course.student, course.machine
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=student.epochs,
        per_device_train_batch_size=student.batch_size,
        per_device_eval_batch_size=EVAL_BATCH,
        learning_rate=student.learning_rate,
        weight_decay=student.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=student.warmup,  # below 1: a share of all steps
        bf16=machine.precision == "bf16",
        fp16=machine.precision == "fp16",
        use_cpu=machine.device == "cpu",
        seed=course.seed,
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch" if validated else "no",
        save_strategy="epoch",
        metric_for_best_model=SCORE if validated else None,
        greater_is_better=True if validated else None,
        logging_steps=1,  # each step's loss is on record, and so survives a kill
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=machine.device == "cuda",
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs would multiply the batch size of the recipe
    return arguments


def examples(tokenizer: PreTrainedTokenizerBase, lesson: Lesson, max_length: int) -> tuple[list[dict[str, Any]], int]:
    """What the Trainer is given for each row (`places`: where it stands in the lesson), and how many texts were cut."""
    encoded, truncated = encode(tokenizer, lesson.texts, max_length)
    return [
        {**one, "labels": target, "places": place}
        for place, (one, target) in enumerate(zip(encoded, lesson.targets, strict=True))
    ], truncated


def _collate(tokenizer: PreTrainedTokenizerBase, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
    texts = [{name: one[name] for name in one if name not in ("labels", "places")} for one in batch]
    return pad(tokenizer, texts) | {
        "labels": torch.from_numpy(np.stack([one["labels"] for one in batch])),
        "places": torch.tensor([one["places"] for one in batch]),
    }


def _scores(prediction: EvalPrediction) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score  # type: ignore[import-untyped]

    said = np.asarray(prediction.predictions).argmax(axis=1)
    right = np.asarray(prediction.label_ids).argmax(axis=1)
    return {
        "macro_f1": float(f1_score(right, said, average="macro", zero_division=0)),
        "accuracy": float(accuracy_score(right, said)),
    }


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

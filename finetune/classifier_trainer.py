"""transformers' Trainer with our loss, our order of the rows and our sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainingArguments
from transformers.trainer import SCALER_NAME

from finetune.course import Course
from finetune.encoding import encode, grouped_order, pad
from finetune.lessons import Lesson
from finetune.losses import distillation_loss, multi_label_loss
from finetune.student import BATCH_TOKENS
from finetune.watch import BEST, LOSS, MACRO_F1, Narrator, Patience, Score, untied
from recipes.console import say
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EVAL_BATCH = 64
"""Rows validated at once, where their tokens are no more than a batch of answers may have."""


def score_of(course: Course) -> Score:
    """What chooses the best epoch: where several labels may apply, the likeliest one is not the whole answer."""
    return LOSS if course.multi_label else MACRO_F1


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
        score = score_of(course)
        super().__init__(
            model=model,
            args=_arguments(course, work, [len(example["input_ids"]) for example in validation]),
            data_collator=lambda batch: _collate(tokenizer, batch, course.student.max_length),
            train_dataset=training,
            eval_dataset=validation or None,
            processing_class=tokenizer,
            compute_metrics=_scores,
            callbacks=[
                Narrator(
                    course.title, len(training), course.student.epochs, self.steps_per_epoch, bool(validation), score
                ),
                *([Patience(course.student.patience, score)] if validation else []),
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
        punish = multi_label_loss if self.course.multi_label else distillation_loss
        loss = punish(outputs["logits"], inputs["labels"], temperature)
        if model.training and not torch.isfinite(loss):
            ids = ", ".join(self.course.training.ids[place] for place in inputs["places"].tolist())
            raise TrainingError(
                f"{self.course.title}: the loss is {loss.item()} at step {self.state.global_step + 1} (rows {ids}): "
                f"lower learning_rate ({student.learning_rate:g}) or set precision: fp32"
            )
        return (loss, {"logits": outputs["logits"]}) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's, with what epochs are compared by where that is macro F1."""
        output = super().evaluation_loop(*args, **kwargs)
        found = output.metrics or {}
        if MACRO_F1.key in found and LOSS.key in found:
            found[BEST] = untied(found[MACRO_F1.key], found[LOSS.key])
        return output

    def _load_scaler(self, checkpoint: str | None) -> None:
        """What scaled the losses of fp16; on a machine that trains in another precision there is none to be set."""
        if self.accelerator.scaler is not None:
            super()._load_scaler(checkpoint)
        elif checkpoint is not None and (Path(checkpoint) / SCALER_NAME).exists():
            say(f"{self.course.title}: begun in fp16, goes on in {self.course.machine.precision}")

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


def _arguments(course: Course, work: Path, validated: list[int]) -> TrainingArguments:
    """validated: tokens of each validation row."""
    student, machine, score = course.student, course.machine, score_of(course)
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=student.epochs,
        per_device_train_batch_size=student.batch_size,
        per_device_eval_batch_size=max(1, min(EVAL_BATCH, BATCH_TOKENS[machine.device] // max(validated, default=1))),
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
        metric_for_best_model=score.chooser if validated else None,
        greater_is_better=not score.falls if validated else None,
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


def _collate(tokenizer: PreTrainedTokenizerBase, batch: list[dict[str, Any]], most: int) -> dict[str, Tensor]:
    texts = [{name: one[name] for name in one if name not in ("labels", "places")} for one in batch]
    return pad(tokenizer, texts, most) | {
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

"""transformers' Trainer with our loss, our order of the rows, our optimizers and our validation.

A step is over all tokens that its rows' targets have together: rows go through the model in as many micro-batches as
memory wants, and the loss is their sum over that count. The validation loss is over tokens too, where the Trainer's own
is over batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainingArguments

from finetune.classifier_trainer import GroupedSampler
from finetune.rejected import name_rows
from finetune.scaled_adamw import ScaledAdamW
from finetune.seq2seq_batches import micro_batches, step, tensors
from finetune.seq2seq_course import Seq2seqCourse
from finetune.seq2seq_lessons import Seq2seqLesson
from finetune.seq2seq_loss import sequence_nats
from finetune.seq2seq_writer import Seq2seqWriter
from finetune.watch import BEST, LOSS, Narrator, Patience, Score, untied
from recipes.aspects import TupleTask
from recipes.errors import TrainingError
from recipes.rows import AspectRow
from recipes.tuple_counts import count_tuples, gold_pairs, read_pairs, sum_counts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TUPLE_F1 = Score("eval_micro_f1", "micro F1")


def score_of(course: Seq2seqCourse) -> Score:
    """What an epoch is judged by."""
    return LOSS if course.tuple_task is None else TUPLE_F1


class Seq2seqTrainer(Trainer):
    """The Trainer on pairs of tokens. micro_tokens: padded tokens that go through the model at once."""

    def __init__(self, course: Seq2seqCourse, model: PreTrainedModel, micro_tokens: int, work: Path) -> None:
        self.course, self.micro_tokens = course, micro_tokens
        self.steps_per_epoch = math.ceil(len(course.training) / course.student.batch_size)
        student, validated = course.student, course.validated
        score = score_of(course)
        super().__init__(
            model=model,
            args=_arguments(course, work),
            data_collator=lambda places: step(course, places, micro_tokens),
            train_dataset=range(len(course.training)),
            eval_dataset=range(len(course.validation.asked)) if validated else None,
            optimizer_cls_and_kwargs=_scaled(course) if student.optimizer == "adamw_scaled" else None,
            callbacks=[
                Narrator(
                    course.title, len(course.training), student.epochs, self.steps_per_epoch, validated, score
                ),
                *([Patience(student.patience, score)] if validated else []),
            ],
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedSampler:
        return GroupedSampler(self.course.training.lengths, self.course.student.batch_size, self.course.seed)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over the micro-batches of one step; returns the loss per token."""
        total = torch.zeros((), device=self.args.device)
        for micro in inputs["micro"]:
            total += super().training_step(model, micro, inputs["tokens"])
        return total

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """A micro-batch's share of the step's loss. Raises TrainingError, with the rows, where it is not a number."""
        loss = self._nats(model, inputs) / num_items_in_batch
        if not torch.isfinite(loss):
            during = f"the loss is {loss.item()} at step {self.state.global_step + 1}"
            self._refuse(during, self.course.training, inputs["places"])
        return loss

    def _nats(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        labels = inputs["labels"]
        features = {name: value for name, value in inputs.items() if name not in ("labels", "places")}
        read = model.prepare_decoder_input_ids_from_labels(labels)
        return sequence_nats(model(**features, decoder_input_ids=read, use_cache=False).logits, labels)

    def _refuse(self, what: str, lesson: Seq2seqLesson, places: Sequence[int]) -> None:
        ids = name_rows([lesson.ids[place] for place in places])
        raise TrainingError(
            f"{self.course.title}: {what} (rows {ids}): lower learning_rate "
            f"({self.course.student.learning_rate:g}) or set precision: fp32"
        )

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The validation loss in nats per token, and the micro F1 where tuples are written."""
        model: Any = self.model
        model.eval()
        metrics = {} if not len(self.course.validation) else {"eval_loss": self._validation_loss(model)}
        if self.course.tuple_task is not None:
            found = self._micro_f1(model, self.course.tuple_task)
            metrics |= {TUPLE_F1.key: found, BEST: untied(found, metrics.get(LOSS.key, 0.0))}
        model.train()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_loss(self, model: Any) -> float:
        lesson, nats, tokens = self.course.validation, 0.0, 0
        with torch.no_grad():
            for places in micro_batches(lesson, range(len(lesson)), self.micro_tokens):
                batch = self._prepare_inputs(tensors(self.course, lesson, places))
                loss = float(self._nats(model, batch))
                if not isfinite(loss):
                    self._refuse(f"the validation loss is {loss} after step {self.state.global_step}", lesson, places)
                nats, tokens = nats + loss, tokens + sum(len(lesson.targets[place]) for place in places)
        return nats / tokens

    def _micro_f1(self, model: Any, task: TupleTask) -> float:
        """Of what is written for the validation rows, those too whose targets are too long to be learnt; 0 where there
        is nothing to count."""
        course = self.course
        rows = [one.row for one in course.validation.asked if isinstance(one.row, AspectRow)]
        writer = Seq2seqWriter(model, course.codec, course.student, (task,), course.machine, autocast=True)
        said = writer.write([row.text for row in rows], task)
        counts = []
        for row, written in zip(rows, said, strict=True):
            pairs, invalid = read_pairs(task, written.text, row.text)
            counts.append(count_tuples(gold_pairs(task, row.aspects), pairs, invalid))
        return sum_counts(counts).f1 or 0.0

    def take_up(self, checkpoint: Path) -> None:
        """Weights and state of a checkpoint, without training on."""
        self.take_weights(checkpoint)
        self.state = self.state.load_from_json(str(checkpoint / "trainer_state.json"))

    def take_weights(self, checkpoint: Path) -> None:
        """The weights of a checkpoint."""
        self._load_from_checkpoint(str(checkpoint))

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # nobody reads it


def _scaled(course: Seq2seqCourse) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """The Trainer gives each group its decay."""
    return ScaledAdamW, {"lr": course.student.learning_rate}


def _arguments(course: Seq2seqCourse, work: Path) -> TrainingArguments:
    student, machine, score = course.student, course.machine, score_of(course)
    validated = course.validated
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=student.epochs,
        per_device_train_batch_size=student.batch_size,
        learning_rate=student.learning_rate,
        weight_decay=student.weight_decay,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(student.schedule, student.schedule),
        warmup_steps=student.warmup,  # below 1: a share of all steps
        max_grad_norm=student.max_grad_norm,
        optim="adafactor" if student.optimizer == "adafactor" else "adamw_torch",  # the former at the given rate
        bf16=machine.precision == "bf16",
        use_cpu=machine.device == "cpu",
        seed=course.seed,
        eval_strategy="epoch" if validated else "no",
        save_strategy="epoch",
        metric_for_best_model=score.chooser if validated else None,
        greater_is_better=not score.falls if validated else None,
        logging_steps=1,  # each step's loss is on record, and so survives a kill
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )  # fmt: skip
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs would multiply the batch size of the recipe
    return arguments

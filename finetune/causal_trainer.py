"""TRL's SFTTrainer with our tokens, our steps and our sentences.

What is TRL's: the loss, computed in chunks of completion tokens so that the logits of a 128,000-word vocabulary are
never whole in memory; and below it transformers' loop, optimizers, precision and checkpoints. What is ours: no template
of TRL's touches a row; a step is split into micro-batches here, not by gradient_accumulation_steps, since their number
varies with packing; and the validation loss is over tokens, where the Trainer's own is over batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback
from transformers.trainer import SCALER_NAME
from trl.trainer.sft_trainer import SFTTrainer

from finetune import processes
from finetune.causal_arguments import sft_config
from finetune.causal_batches import Batching, Steps, counted, labels, step_loader
from finetune.causal_lessons import CausalLesson
from finetune.causal_loss import lean_loss
from finetune.causal_plan import Plan
from finetune.causal_watch import CausalNarrator, Rhythm, validation_steps
from finetune.course import CausalCourse
from finetune.encoding import padded_width
from finetune.packing import group, pack, share
from recipes.console import say
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

EVALUATION_TOKENS = 8192
"""Tokens in a batch of validation rows, padding included."""


class CausalTrainer(SFTTrainer):
    """The SFTTrainer on rows that are tokens already."""

    model: Any

    def __init__(
        self, course: CausalCourse, model: PreTrainedModel | PeftModel, batching: Batching, plan: Plan, work: Path,
    ) -> None:  # fmt: skip
        self.course, self.batching = course, batching
        self.steps = Steps(course.training.rows, batching, course.seed)
        self.steps_per_epoch = len(self.steps)
        student, validated = course.student, len(course.validation) > 0
        self.narrator = CausalNarrator(course.title, self.steps_per_epoch, student.epochs, validated)
        marks = validation_steps(self.steps_per_epoch, student.epochs, student.evaluations)
        self.marks = Rhythm(marks, student.patience, validated)
        super().__init__(
            model=model,
            args=sft_config(course, plan, work),
            train_dataset=_dataset(course),
            data_collator=_no_collator,
            processing_class=course.tokenizer,
            callbacks=[self.narrator, self.marks],
        )
        self.remove_callback(PrinterCallback)
        for weight in self.model.parameters():
            if weight.requires_grad:  # TRL casts adapters on a 4-bit base to bf16: a T4's grad scaler would refuse them
                weight.data = weight.data.float()

    def train(self, *arguments: Any, **options: Any) -> Any:
        with lean_loss():
            return cast(Any, super()).train(*arguments, **options)

    def get_train_dataloader(self) -> DataLoader[Any]:
        return step_loader(self.steps)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward over the micro-batches of one optimizer step; returns the loss per completion token."""
        total = torch.zeros((), device=self.args.device)
        last = len(inputs["micro"]) - 1
        for number, micro in enumerate(inputs["micro"]):
            with nullcontext() if number == last else self.accelerator.no_sync(model):
                total += cast(Any, super()).training_step(model, micro, inputs["tokens"])
            self.narrator.tokens += sum(self.steps.lengths[place] for place in micro["places"])
        return total

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """A micro-batch's share of the step's loss. Raises TrainingError, with the rows, where it is not a number."""
        places = inputs.pop("places")
        outputs = model(**inputs, use_cache=False, num_items_in_batch=num_items_in_batch)
        loss = outputs["loss"]
        if not torch.isfinite(loss):
            during = f"the loss is {loss.item()} at step {self.state.global_step + 1}"
            self._refuse(during, self.course.training, places)
        # several processes: their gradients are averaged, and the loss is already over the tokens of all of them
        loss = loss * processes.count()
        return (loss, outputs) if return_outputs else loss

    def _refuse(self, what: str, lesson: CausalLesson, places: Sequence[int]) -> None:
        raise TrainingError(
            f"{self.course.title}: {what} (rows {', '.join(lesson.ids[place] for place in places)}): lower "
            f"learning_rate ({self.course.student.learning_rate:g}) or set precision: fp32"
        )

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The validation loss: nats per completion token, over all validation rows. Raises TrainingError, with rows,
        where it is not a number.
        """
        sums = [0.0, 0.0]
        self.model.eval()
        with torch.no_grad():
            for places, micro, tokens in self._validation():
                outputs = self.model(**self._prepare_inputs(micro), use_cache=False, num_items_in_batch=1)
                loss = float(outputs["loss"])
                if not isfinite(loss):
                    after = f"the validation loss is {loss} after step {self.state.global_step}"
                    self._refuse(after, self.course.validation, places)
                sums = [sums[0] + loss, sums[1] + tokens]
        self.model.train()
        nats, count = processes.add_up(sums)
        metrics = {"eval_loss": nats / max(1.0, count)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation(self) -> Iterator[tuple[list[int], dict[str, Tensor], int]]:
        """The validation rows in batches, this process's: their places, their tensors, and tokens under the loss."""
        rows, batching = self.course.validation.rows, self.batching
        lengths = [len(row.input_ids) for row in rows]
        mine = share(range(len(rows)), lengths, batching.rank, batching.processes)
        if batching.capacity is not None:
            batches = pack(mine, lengths, batching.capacity)
        else:
            planned = batching.micro_batch * self.course.student.max_length  # what the memory plan has room for
            batches = group(mine, lengths, lambda longest: min(EVALUATION_TOKENS, planned) // padded_width(longest))
        for places in batches:
            chosen = [rows[place] for place in places]
            yield list(places), batching.tensors(chosen), sum(counted(row) for row in chosen)

    def _load_scaler(self, checkpoint: str | None) -> None:
        """What scaled the losses of fp16; on a machine that trains in another precision there is none to be set."""
        if self.accelerator.scaler is not None:
            cast(Any, super())._load_scaler(checkpoint)
        elif checkpoint is not None and (Path(checkpoint) / SCALER_NAME).exists():
            say(f"{self.course.title}: begun in fp16, goes on in {self.course.machine.precision}")

    def take_up(self, checkpoint: Path) -> None:
        """Weights and state of a checkpoint, without training on."""
        self.take_weights(checkpoint)
        self.state = self.state.load_from_json(str(checkpoint / "trainer_state.json"))

    def take_weights(self, checkpoint: Path) -> None:
        """The weights of a checkpoint."""
        self._load_from_checkpoint(str(checkpoint))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Weights alone: no tokenizer, no pickled arguments, and no question to the Hub about the base's vocabulary."""
        save_weights(self.model, Path(str(output_dir)))

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # nobody reads it

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """No card in a checkpoint: ours is written when the training is done."""

    def _send_telemetry(self) -> None:
        """TRL tells its makers which trainer is used; a recipe's user has not agreed to that."""


def save_weights(model: Any, folder: Path) -> None:
    """The adapter of a model that has one, else all of it."""
    from peft import PeftModel

    options = {"save_embedding_layers": False} if isinstance(model, PeftModel) else {}
    model.save_pretrained(str(folder), **options)
    (folder / "README.md").unlink(missing_ok=True)  # peft's own card


def _dataset(course: CausalCourse) -> Dataset:
    """The rows as TRL wants to see them; what is trained on comes from `Steps`."""
    rows = course.training.rows[:1]
    return Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [labels(row) for row in rows]})


def _no_collator(items: Any) -> Any:
    """A step is made of tensors already; with a collator of its own TRL would set the tokenizer's padding to EOS."""
    raise NotImplementedError

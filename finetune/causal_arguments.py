"""A recipe's student in the words of TRL's SFTConfig."""

from __future__ import annotations

from pathlib import Path

import torch
from trl.trainer.sft_config import SFTConfig

from finetune.causal_model import place
from finetune.causal_plan import Plan
from finetune.course import CausalCourse
from recipes.console import say


def sft_config(course: CausalCourse, plan: Plan, work: Path) -> SFTConfig:
    """What the Trainer is told; checkpoints go to `work`."""
    student, machine = course.student, course.machine
    arguments = SFTConfig(
        output_dir=str(work),
        num_train_epochs=student.epochs,
        per_device_train_batch_size=1,  # one item of ours is a whole step
        gradient_accumulation_steps=1,
        learning_rate=student.learning_rate,
        weight_decay=student.weight_decay,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(student.schedule, student.schedule),
        warmup_steps=student.warmup,  # below 1: a share of all steps
        max_grad_norm=student.max_grad_norm,
        optim="adamw_8bit" if student.optimizer == "adamw_8bit" and eight_bits_work(course) else "adamw_torch_fused",
        bf16=machine.precision == "bf16",
        fp16=machine.precision == "fp16",
        use_cpu=machine.device == "cpu",
        gradient_checkpointing=plan.checkpointing and plan.backend == "plain",  # unsloth has a way of its own
        gradient_checkpointing_kwargs={"use_reentrant": False},
        loss_type=_loss_type(course, plan),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        completion_only_loss=False,  # the labels say it already
        seed=course.seed,
        eval_strategy="no",  # Rhythm asks for it
        save_strategy="steps",
        save_steps=1_000_000_000,  # likewise
        metric_for_best_model="eval_loss" if len(course.validation) else None,
        greater_is_better=False if len(course.validation) else None,
        logging_steps=1,  # each step's loss is on record, and so survives a kill
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=list(student.report_to) or "none",
        run_name=f"{course.name}-{work.name}",
        project=work.parents[3].name,  # the run folder
        log_level="error",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs in one process would multiply the batch size
    return arguments


def eight_bits_work(course: CausalCourse) -> bool:
    """Whether bitsandbytes can keep an optimizer's state in 8 bits on this device; a sentence where it cannot."""
    from bitsandbytes import optim

    weight = torch.nn.Parameter(torch.ones(4096, device=place(course.machine)))  # smaller ones it keeps in 32 bits
    weight.grad = torch.ones_like(weight)
    try:
        optim.AdamW8bit([weight]).step()  # type: ignore[no-untyped-call, attr-defined]
    except (RuntimeError, NotImplementedError, AttributeError, ValueError):
        say(
            f"{course.title}: 8-bit AdamW cannot run on the {course.machine.device}: AdamW instead, four times its size"
        )
        return False
    return True


def _loss_type(course: CausalCourse, plan: Plan) -> str:
    """In chunks of tokens; but not past an adapter on the head, and unsloth has a way of its own."""
    lora = course.student.lora
    plain = plan.backend == "plain" and (lora is None or "lm_head" not in lora.targets)
    return "chunked_nll" if plain else "nll"

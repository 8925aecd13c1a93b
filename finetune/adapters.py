"""A trained generative student on disk: an adapter and the name of the base it belongs to, or a whole model.

An adapter that moves no logit (it was never trained, or is not attached) is refused when it is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from finetune.adapter_base import BASE_FILE, commit, describe_base, read_base
from finetune.bases import Base
from finetune.causal_model import check_fit, load_causal, load_causal_tokenizer
from finetune.course import CausalCourse
from finetune.formats import Renderer
from finetune.hardware import Machine, find_machine
from finetune.permissions import as_usual
from finetune.record import write_record
from finetune.silence import quiet
from finetune.tokenizer_files import name_whole_class
from recipes.errors import TrainingError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_FILE = "adapter_model.safetensors"
PROBE = tuple(range(3, 11))
"""Token ids that the logits are looked at after."""


def save_student(model: Any, course: CausalCourse, folder: Path) -> None:
    """Write a trained model to `folder`: its adapter and base.json, or all of it with where its answers end; and its
    tokenizer.
    """
    from finetune.causal_trainer import save_weights  # TRL: seconds that an answer need not wait

    folder.mkdir(parents=True, exist_ok=True)
    if course.student.lora is None:
        model.to("cpu")
        model.config.use_cache = True
        how, renderer = model.generation_config, Renderer(course.student, course.tokenizer)
        how.eos_token_id = renderer.stops_with(how.eos_token_id)
    else:  # its name and not its place: what is published must not tell where it lay on this disk
        model.peft_config["default"].base_model_name_or_path = course.base.hub or course.base.name
        model.peft_config["default"].revision = commit(model) if course.base.hub else None
    save_weights(model, folder)
    course.tokenizer.save_pretrained(str(folder))
    name_whole_class(folder)
    as_usual(folder)
    if course.student.lora is not None:
        write_record(folder / BASE_FILE, describe_base(model, course, folder, adapter_effect(model)))


def load_model(folder: Path, machine: Machine | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A student's model, its adapter on its base where it has one, and its tokenizer; ready to answer.

    Raises TrainingError where the base is not there or is another one, the adapter does not fit it or changes nothing,
    or a file is damaged.
    """
    machine = machine or find_machine()
    if not (folder / BASE_FILE).exists():
        return _whole_model(folder, machine)
    record, base = read_base(folder)
    with quiet():
        tokenizer = student_tokenizer(folder)
        model = load_causal(base, machine, record.quantization == "nf4")
        check_fit(base, model, tokenizer, record.max_length)
        tuned = _put_on(model, folder, base)
        if adapter_effect(tuned) == 0.0:
            raise TrainingError(f"the adapter in {folder} changes nothing in {base.name}: train the student again")
    return cast("PreTrainedModel", tuned), tokenizer


def load_base(folder: Path, machine: Machine | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """What a student's adapter stands on, without it, and the student's tokenizer. Raises TrainingError as `load_model`
    does, and for a student without an adapter.
    """
    if not (folder / BASE_FILE).exists():
        raise TrainingError(f"the student in {folder} has no adapter: all its weights were trained")
    record, base = read_base(folder)
    with quiet():
        model = load_causal(base, machine or find_machine(), record.quantization == "nf4")
        return model, student_tokenizer(folder)


def student_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a trained student. Raises TrainingError where it is not there or damaged."""
    here = _here(folder)
    try:
        return load_causal_tokenizer(here)
    except TrainingError:
        raise TrainingError(f"the tokenizer of the student in {folder} is missing or damaged: train it again") from None


def adapter_effect(model: Any) -> float:
    """Largest change of a logit by a model's adapter, as a share of the largest logit."""
    import torch

    tokens = torch.tensor([PROBE], device=model.get_input_embeddings().weight.device)
    training = model.training
    model.eval()
    with torch.no_grad():
        tuned = model(input_ids=tokens, use_cache=False).logits.float()
        with model.disable_adapter():
            plain = model(input_ids=tokens, use_cache=False).logits.float()
    model.train(training)
    return float((tuned - plain).abs().max() / plain.abs().max().clamp(min=1e-9))


def _put_on(model: PreTrainedModel, folder: Path, base: Base) -> PeftModel:
    """The base with a trained adapter."""
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return PeftModel.from_pretrained(model, str(folder)).eval()
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the adapter in {folder} does not fit {base.name} ({first}): train it again") from None


def _whole_model(folder: Path, machine: Machine) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    here = _here(folder)
    with quiet():
        return load_causal(here, machine, nf4=False), student_tokenizer(folder)


def _here(folder: Path) -> Base:
    if not folder.is_dir():
        raise TrainingError(f"{folder} is missing: train the student first")
    return Base(f"of the student in {folder}", str(folder), None, None)

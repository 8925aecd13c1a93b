"""A trained generative student on disk: an adapter and the name of the base it belongs to, or a whole model.

base.json says which base, at which revision, and what its files look like, so that an adapter is never put on another:
peft would load it on any model of the same shape without a word. It also says by how much the adapter moved the logits
when it was saved; one that moves nothing (it was never trained, or is not attached) is refused when it is opened.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from finetune.bases import Base
from finetune.causal_model import check_fit, load_causal, load_causal_tokenizer
from finetune.course import CausalCourse
from finetune.formats import Renderer
from finetune.hardware import DTYPES, Machine, find_machine
from finetune.permissions import as_usual
from finetune.record import Record, write_record
from finetune.silence import quiet
from finetune.tokenizer_files import name_whole_class
from recipes.errors import TrainingError
from recipes.runs import digest

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BASE_FILE = "base.json"
ADAPTER_FILE = "adapter_model.safetensors"
EDGE = 1 << 16
"""Bytes at each end of a weights file that its print is taken of: a whole 16 GB would take half a minute to read."""
PROBE = tuple(range(3, 11))
"""Token ids that the logits are looked at after."""


class BaseRecord(Record):
    """Which base an adapter belongs to.

    place: Hub id, or a folder: relative to the adapter's own where both are in one run folder, else absolute.
    revision: commit on the Hub. print: of the base's files, `weights_print`; None on the Hub, where the commit says it.
    dtype: what the base was loaded and computed in.
    effect: largest change of a logit by the adapter when it was saved, as a share of the largest logit.
    """

    name: str
    place: str
    hub: bool
    revision: str | None
    print: str | None
    quantization: Literal["nf4", "none"]
    dtype: Literal["float32", "bfloat16", "float16"]
    max_length: int
    effect: float


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
        model.peft_config["default"].revision = _commit(model) if course.base.hub else None
    save_weights(model, folder)
    course.tokenizer.save_pretrained(str(folder))
    name_whole_class(folder)
    as_usual(folder)
    if course.student.lora is None:
        return
    base = course.base
    student, hub = course.student, base.hub is not None
    record = BaseRecord(
        name=base.name, place=base.hub or _relative(Path(base.place), folder), hub=hub,
        revision=_commit(model) or base.revision, print=None if hub else weights_print(Path(base.place)),
        quantization=student.quantization, dtype=DTYPES[course.machine.precision], max_length=student.max_length,
        effect=adapter_effect(model),
    )  # fmt: skip
    write_record(folder / BASE_FILE, record)


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


def read_base(folder: Path) -> tuple[BaseRecord, Base]:
    """base.json of an adapter's folder, and the base it names. Raises TrainingError where that is another one now."""
    try:
        record = BaseRecord.model_validate_json((folder / BASE_FILE).read_bytes())
    except (OSError, ValueError):
        raise TrainingError(f"{folder / BASE_FILE} is missing or damaged: train the student again") from None
    if record.hub:
        return record, Base(record.name, record.place, record.place, record.revision)
    place = (folder / record.place).resolve()
    if not (place / "config.json").exists():
        raise TrainingError(f"the adapter in {folder} belongs to {record.name}, which is no longer in {place}")
    if weights_print(place) != record.print:
        raise TrainingError(
            f"the adapter in {folder} belongs to another {record.name} than the one in {place} now: train it again"
        )
    return record, Base(record.name, str(place), None, None)


def weights_print(folder: Path) -> str:
    """A digest of a model folder's config, and of the size and both ends of each of its weights files."""
    sums: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(EDGE)
            file.seek(max(0, size - EDGE))
            sums[path.name] = [size, hashlib.sha256(head + file.read(EDGE)).hexdigest()]
    config = folder / "config.json"
    return digest([hashlib.sha256(config.read_bytes()).hexdigest() if config.exists() else None, sums])


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


def _relative(base: Path, folder: Path) -> str:
    """The base's folder as seen from the adapter's, where they share a run folder: both may be moved then."""
    here, there = folder.resolve(), base.resolve()
    students = here.parent.parent
    return os.path.relpath(there, here) if there.is_relative_to(students) else str(there)


def _commit(model: Any) -> str | None:
    """The commit that transformers loaded from the Hub."""
    commit: str | None = getattr(model.config, "_commit_hash", None)
    return commit

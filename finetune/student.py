"""A trained student that answers: a classifier, texts in and probabilities out; or one that writes: answering.py,
seq2seq_writer.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from finetune.bases import MULTI_LABEL
from finetune.causal_record import CausalRecord, read_any_record
from finetune.encoding import Encoded, encode, pad, padded_width
from finetune.hardware import Machine, find_machine, is_out_of_memory
from finetune.packing import group
from finetune.seq2seq_record import Seq2seqRecord
from finetune.silence import quiet
from recipes.errors import TrainingError
from recipes.keys import redact
from recipes.runs import RunFolder
from recipes.seq2seq_student import Seq2seqStudent
from recipes.students import CausalStudent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from finetune.answering import GenerativeStudent
    from finetune.seq2seq_writer import Seq2seqWriter

Floats = npt.NDArray[np.float32]

WINDOW = 8192
"""Texts that are sorted by length together; memory does not grow beyond it, however many texts there are."""
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768, "mps": 8192}
"""Tokens in a batch, padding included."""


class Student:
    """A classifier that was trained here. `labels` names the columns of what `predict` returns; `cut` is how many texts
    of the last call were cut at max_length. multi_label: each probability is of its label alone, they have any sum.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, machine: Machine
    ) -> None:
        self.labels: tuple[str, ...] = tuple(name for _, name in sorted((model.config.id2label or {}).items()))
        self.multi_label: bool = model.config.problem_type == MULTI_LABEL
        self.cut = 0
        self.machine = machine
        self._model = cast(Any, model).to(device=machine.device, dtype=machine.dtype).eval()
        self._tokenizer = tokenizer
        self._max_length = max_length

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probability of each label for each text: (n, labels) float32, in the order of the texts.

        Raises TrainingError where a text's probabilities are no numbers, and where memory runs out.
        """
        answers = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        self.cut = 0
        for start in range(0, len(texts), WINDOW):
            encoded, cut = encode(self._tokenizer, texts[start : start + WINDOW], self._max_length)
            self.cut += cut
            for places in batches([len(one["input_ids"]) for one in encoded], BATCH_TOKENS[self.machine.device]):
                answers[[start + place for place in places]] = self._answer([encoded[place] for place in places])
        broken = np.flatnonzero(~np.isfinite(answers).all(axis=1))
        if len(broken):
            raise TrainingError(
                f"the student's probabilities are no numbers in {self.machine.precision} for {len(broken):,} of "
                f"{len(texts):,} texts, first {texts[broken[0]][:60]!r}: train it again with precision: fp32 or a "
                "lower learning_rate"
            )
        return answers

    def _answer(self, batch: list[Encoded]) -> Floats:
        import torch

        padded = pad(self._tokenizer, batch, self._max_length)
        try:
            with torch.inference_mode():
                features = {name: ids.to(self.machine.device) for name, ids in padded.items()}
                logits = self._model(**features).logits.float()
                logits[~logits.isfinite().all(dim=-1)] = float("nan")  # softmax would make a plain 0 of -inf
                shares = logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)
                probabilities: Floats = shares.cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"out of memory on the {self.machine.device} while answering {len(batch)} texts of up to "
                f"{padded['input_ids'].shape[1]} tokens: make room, or take a machine with more"
            ) from None
        return probabilities


def batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Places of texts of about one length, longest first; a batch has at most `tokens` once padded, or one text."""
    return group(range(len(lengths)), lengths, lambda longest: tokens // max(1, padded_width(longest)))


def open_student(run: RunFolder, name: str, seed: int | None = None) -> Student | GenerativeStudent | Seq2seqWriter:
    """A trained student of a run: the seed asked for, else the one with the best validation score or loss.

    What was trained in fp32 answers in it: its weights may be beyond what fp16 holds. Raises TrainingError where the
    student is not trained or its files are damaged.
    """
    record = read_any_record(run, name)
    chosen = record.best_seed if seed is None else seed
    if chosen not in record.seeds:
        known = ", ".join(str(one) for one in record.seeds)
        raise TrainingError(f"the student {name} has no seed {chosen}; it was trained with {known}")
    precise = record.hyperparameters.get("precision") == "fp32"
    folder = run.student(name, chosen)
    if isinstance(record, Seq2seqRecord):
        return _open_seq2seq(record, folder, "fp32" if precise else "auto")
    machine = find_machine("fp32" if precise else "auto")
    if isinstance(record, CausalRecord):
        return _open_generative(record, folder, machine)
    return load_student(folder, record.max_length, machine)


def _open_generative(record: CausalRecord, folder: Path, machine: Machine) -> GenerativeStudent:
    """A generative student as it was trained, whatever the recipe says by now."""
    from finetune.adapters import load_model
    from finetune.answering import GenerativeStudent

    model, tokenizer = load_model(folder, machine)
    return GenerativeStudent(model, tokenizer, as_trained(record))


def as_trained(record: CausalRecord) -> CausalStudent:
    """The section of the recipe that a generative student was trained by, as far as answering needs it."""
    fields = {"kind", "base", "format", "instruction", "max_length", "quantization", "lora", "answering"}
    return CausalStudent.model_validate(record.model_dump(include=fields))


def _open_seq2seq(record: Seq2seqRecord, folder: Path, precision: Literal["auto", "fp32"]) -> Seq2seqWriter:
    """A seq2seq student as it was trained, whatever the recipe says by now."""
    from transformers import AutoModelForSeq2SeqLM

    from finetune.seq2seq_codec import Seq2seqCodec
    from finetune.seq2seq_model import seq2seq_machine
    from finetune.seq2seq_writer import Seq2seqWriter
    from finetune.tokenizer_files import open_tokenizer

    with _opening(folder):
        codec = Seq2seqCodec(open_tokenizer(folder))
        model = AutoModelForSeq2SeqLM.from_pretrained(str(folder), trust_remote_code=False, use_safetensors=True)
    student = Seq2seqStudent.model_validate(
        record.model_dump(include={"kind", "base", "prefixes", "max_length", "max_target_length"})
    )
    return Seq2seqWriter(model, codec, student, record.targets, seq2seq_machine(precision))


def load_student(folder: Path, max_length: int, machine: Machine | None = None) -> Student:
    """A student from its model folder. Raises TrainingError where the folder is damaged."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with _opening(folder):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            str(folder), trust_remote_code=False, use_safetensors=True
        )
    return Student(model, tokenizer, max_length, machine or find_machine())


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """What goes wrong while a model folder is opened, as a TrainingError that names it."""
    try:
        with quiet():
            yield
    except Exception as error:  # no less: it is what tokenizers raises for a damaged file
        raise TrainingError(_why_shut(folder, error)) from None


def _why_shut(folder: Path, error: Exception) -> str:
    """Why a model folder cannot be opened, and what to do."""
    if is_out_of_memory(error):
        return f"out of memory while opening the student in {folder}: make room, or take a machine with more"
    first = redact(str(error).strip().split("\n")[0])
    if isinstance(error, ImportError):
        return f"the student in {folder} needs a package that is not installed: {first}"
    return f"the student in {folder} cannot be opened ({first}): train it again"

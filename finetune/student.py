"""A trained student that answers: texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from finetune.encoding import PAD_TO, Encoded, encode, pad
from finetune.hardware import Machine, find_machine
from finetune.record import read_record
from finetune.silence import quiet
from recipes.errors import TrainingError
from recipes.runs import RunFolder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Floats = npt.NDArray[np.float32]

WINDOW = 8192
"""Texts that are sorted by length together; memory does not grow beyond it, however many texts there are."""
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768, "mps": 8192}
"""Tokens in a batch, padding included."""


class Student:
    """A classifier that was trained here. `labels` names the columns of what `predict` returns."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, machine: Machine
    ) -> None:
        self.labels: tuple[str, ...] = tuple(name for _, name in sorted((model.config.id2label or {}).items()))
        self.machine = machine
        self._model = cast(Any, model).to(device=machine.device, dtype=machine.dtype).eval()
        self._tokenizer = tokenizer
        self._max_length = max_length

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probability of each label for each text: (n, labels) float32, in the order of the texts."""
        answers = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        for start in range(0, len(texts), WINDOW):
            encoded, _ = encode(self._tokenizer, texts[start : start + WINDOW], self._max_length)
            for places in batches([len(one["input_ids"]) for one in encoded], BATCH_TOKENS[self.machine.device]):
                answers[[start + place for place in places]] = self._answer([encoded[place] for place in places])
        return answers

    def _answer(self, batch: list[Encoded]) -> Floats:
        import torch

        with torch.inference_mode():
            features = {name: ids.to(self.machine.device) for name, ids in pad(self._tokenizer, batch).items()}
            logits = self._model(**features).logits.float()
            probabilities: Floats = logits.softmax(dim=-1).cpu().numpy()
        return probabilities


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Places of texts of about one length, longest first; a batch has at most `tokens` once padded, or one text."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        width = -(-lengths[order[start]] // PAD_TO) * PAD_TO
        count = max(1, tokens // max(1, width))
        yield order[start : start + count]
        start += count


def open_student(run: RunFolder, name: str, seed: int | None = None) -> Student:
    """A trained student of a run: the seed asked for, else the one with the best validation score.

    Raises TrainingError where it is not trained or its files are damaged.
    """
    record = read_record(run, name)
    chosen = record.best_seed if seed is None else seed
    if chosen not in record.seeds:
        known = ", ".join(str(one) for one in record.seeds)
        raise TrainingError(f"the student {name} has no seed {chosen}; it was trained with {known}")
    return load_student(run.student(name, chosen), record.max_length)


def load_student(folder: Path, max_length: int, machine: Machine | None = None) -> Student:
    """A student from its model folder. Raises TrainingError where the folder is damaged."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
            model = AutoModelForSequenceClassification.from_pretrained(
                str(folder), trust_remote_code=False, use_safetensors=True
            )
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise TrainingError(f"the student in {folder} cannot be opened ({first}): train it again") from None
    return Student(model, tokenizer, max_length, machine or find_machine())

"""A seq2seq student that writes: texts in, for each the text of a target out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from finetune.decoding import in_halves
from finetune.encoding import Encoded, pad, padded_width
from finetune.hardware import Machine, is_out_of_memory
from finetune.packing import group
from finetune.seq2seq_codec import Seq2seqCodec
from finetune.seq2seq_lessons import render
from recipes.errors import TrainingError
from recipes.seq2seq_student import Seq2seqStudent, Target

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_TOKENS = {"cpu": 1 << 14, "cuda": 1 << 16, "mps": 1 << 15}
"""Tokens of a batch, padding and what may be written included."""
ROWS = 256
"""Texts in a batch at the most: each waits for the longest."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a student wrote. truncated: it had not come to its end at max_target_length. cut: the text was longer than
    max_length, and its end was not read."""

    text: str
    truncated: bool
    cut: bool = False


class Seq2seqWriter:
    """A model that writes the likeliest token every time, as it was trained: prefixes and lengths are `student`'s.

    targets: what it was taught to write. Its weights stay as they are, in mixed precision where `autocast` (while it is
    trained), else they are computed with in the machine's.
    """

    def __init__(
        self, model: PreTrainedModel, codec: Seq2seqCodec, student: Seq2seqStudent, targets: Sequence[Target],
        machine: Machine, autocast: bool = False,
    ) -> None:  # fmt: skip
        self.student, self.targets, self.machine = student, tuple(targets), machine
        self._codec, self._autocast = codec, autocast and machine.precision == "bf16"
        self._model: Any = model
        if not autocast:
            self._model = cast(Any, model).to(device=machine.device, dtype=machine.dtype).eval()

    def write(self, texts: Sequence[str], target: Target) -> list[Written]:
        """What it writes of each text, in their order. Raises TrainingError for a target that it was not taught, and
        where memory runs out for one text."""
        if target not in self.targets:
            raise TrainingError(f"this student writes {' and '.join(self.targets)}, and was not taught {target}")
        student = self.student
        encoded, _ = self._codec.sources([render(student, target, text) for text in texts], student.max_length)
        written: dict[int, Written] = {}

        def fill(places: list[int]) -> None:
            for place, (text, ended) in zip(places, self._batch([encoded[place] for place in places]), strict=True):
                written[place] = Written(text, not ended, self._is_cut(texts[place], encoded[place], target))

        for places in self._batches(encoded):
            in_halves(places, fill, "the device has no memory for one text: lower the student's max_length")
        return [written[place] for place in range(len(texts))]

    def _batches(self, encoded: Sequence[Encoded]) -> list[list[int]]:
        """Places of texts of about one length, longest first."""
        room, longest_answer = BATCH_TOKENS[self.machine.device], self.student.max_target_length
        lengths = [len(one["input_ids"]) for one in encoded]
        return group(
            range(len(lengths)), lengths, lambda longest: min(ROWS, room // (padded_width(longest) + longest_answer))
        )

    def _batch(self, batch: Sequence[Encoded]) -> list[tuple[str, bool]]:
        """Of each text what is written, and whether it came to its end."""
        import torch

        tokenizer = self._codec.tokenizer
        features: Mapping[str, Any] = pad(tokenizer, batch, self.student.max_length)
        context = torch.autocast(self.machine.device, torch.bfloat16) if self._autocast else nullcontext()
        try:
            with torch.no_grad(), context:
                features = {name: ids.to(self.machine.device) for name, ids in features.items()}
                ids = self._model.generate(**features, max_new_tokens=self.student.max_target_length)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, torch.OutOfMemoryError) or not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"out of memory while {len(batch)} texts are answered: make room on this machine"
            ) from None
        return [self._read(row) for row in ids[:, 1:].tolist()]

    def _read(self, ids: list[int]) -> tuple[str, bool]:
        end = self._codec.tokenizer.eos_token_id
        ended = end in ids
        return self._codec.text(ids[: ids.index(end)] if ended else ids), ended

    def _is_cut(self, text: str, encoded: Encoded, target: Target) -> bool:
        """Whether the text's end was not read; only one that fills max_length is looked at twice."""
        if len(encoded["input_ids"]) < self.student.max_length:
            return False
        return self._codec.sources([render(self.student, target, text)], self.student.max_length)[1] > 0

"""An embedding model as teacher: how near a text is to each label's hypothesis, by the cosine of their vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recipes.batches import token_batches
from recipes.errors import TeacherError
from recipes.schema import Recipe
from synth.machine import Machine, is_out_of_memory
from synth.pretrained import NO_LIMIT, find_origin, loading, memory_sentence
from synth.silence import quiet
from synth.tasks.scores import Scores

BATCH_TOKENS = {"cpu": 1536, "cuda": 32768, "mps": 8192}
"""Most tokens in a batch, padding included."""


class EmbeddingModel:
    """A sentence-transformers model, open for a recipe's labels."""

    def __init__(self, recipe: Recipe, model: Any, machine: Machine) -> None:
        self.teacher, self.labels, self.machine = recipe.local_teacher(), recipe.labels, machine
        model.max_seq_length = min(self.teacher.max_length, model.max_seq_length or NO_LIMIT)
        self._model = model
        self._targets = self._vectors([self.teacher.words(label) for label in recipe.labels])

    def score(self, texts: Sequence[str]) -> Iterator[list[tuple[int, Scores]]]:
        """The texts by their places, with their scores, as batches are done; longest texts first.

        Raises TeacherError where a score is no number, and where memory runs out.
        """
        lengths = [len(ids) for ids in self._model.tokenizer(list(texts), verbose=False)["input_ids"]] if texts else []
        most = int(self._model.max_seq_length)
        fewer = most if most < self.teacher.max_length else None
        whole = [min(length, most) for length in lengths]
        for batch in token_batches(whole, BATCH_TOKENS[self.machine.device], self.teacher.batch_size):
            cosines = self._vectors([texts[place] for place in batch]) @ self._targets.T
            figures = [{"cosine": dict(zip(self.labels, row.tolist(), strict=True))} for row in cosines]
            yield [
                (place, Scores(told, lengths[place] > most, fewer)) for place, told in zip(batch, figures, strict=True)
            ]

    def _vectors(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1 for each text, (texts, width)."""
        low = self.machine.precision != "fp32"
        try:
            with quiet(), torch.autocast(self.machine.device, self.machine.dtype) if low else nullcontext():
                vectors: npt.NDArray[np.float32] = self._model.encode(
                    texts, batch_size=len(texts), normalize_embeddings=True, show_progress_bar=False
                )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TeacherError(memory_sentence(self.teacher, self.machine.device)) from None
        if not np.isfinite(vectors).all():
            raise TeacherError(
                f"teacher.model: {self.teacher.model} gives scores that are no numbers in {self.machine.precision}: "
                "set teacher.precision to fp32"
            )
        return vectors


def open_embedding(recipe: Recipe, machine: Machine) -> EmbeddingModel:
    """The recipe's teacher. Raises TeacherError where it cannot be loaded."""
    from sentence_transformers import SentenceTransformer

    origin = find_origin(recipe)
    with quiet(), loading(origin):
        model = SentenceTransformer(
            origin.place,
            device=machine.device,
            local_files_only=Path(origin.place).is_dir(),
            model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            **origin.options(),
        )
    return EmbeddingModel(recipe, model, machine)

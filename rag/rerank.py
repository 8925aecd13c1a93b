"""A cross-encoder that reads question and passage together: slower than vectors, and better at the last few places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.hardware import Machine, find_machine, is_out_of_memory
from finetune.silence import quiet
from recipes.errors import RunError
from recipes.schema import Recipe

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class Reranker:
    """Scores of passages for a question, higher is better."""

    def __init__(self, model: CrossEncoder, machine: Machine) -> None:
        self._model, self._machine = model, machine

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score a text. Raises RunError where memory runs out."""
        if not texts:
            return []
        try:
            with quiet():
                found = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise RunError(
                f"memory ran out while ranking passages on the {self._machine.device}: lower retrieval.candidates"
            ) from None
        return [float(score) for score in found]


def open_reranker(recipe: Recipe) -> Reranker | None:
    """The recipe's cross-encoder, if it names one. Raises RunError where it cannot be loaded."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    name, revision = recipe.retrieval.rerank, recipe.retrieval.rerank_revision
    if name is None:
        return None
    folder = recipe.resolve(name)
    return load_reranker(folder if folder.is_dir() else name, revision, find_machine())


def load_reranker(place: Path | str, revision: str | None, machine: Machine) -> Reranker:
    """A cross-encoder from a folder or the Hub. Raises RunError where it is not there or scores more than one thing."""
    from sentence_transformers import CrossEncoder

    local = isinstance(place, Path)
    try:
        with quiet():
            model = CrossEncoder(
                str(place),
                device=machine.device,
                revision=None if local else revision,
                local_files_only=local,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        sentence = str(error).strip().split("\n", 1)[0]
        raise RunError(f"retrieval.rerank: {place} cannot be loaded: {sentence}") from None
    if model.config.num_labels != 1:
        raise RunError(f"retrieval.rerank: {place} gives {model.config.num_labels} scores a pair and not one")
    return Reranker(model, machine)

"""A cross-encoder that reads question and passage together: slower than vectors, and better at the last few places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune.bases import Base, named_base
from finetune.hardware import Machine, find_machine
from finetune.silence import quiet
from rag.models import open_model, room_for
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
        with quiet(), room_for("ranking passages", self._machine, "lower retrieval.candidates"):
            found = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        return [float(score) for score in found]


def open_reranker(recipe: Recipe) -> Reranker | None:
    """The recipe's cross-encoder, if it names one. Raises RunError where it cannot be loaded."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    name, revision = recipe.retrieval.rerank, recipe.retrieval.rerank_revision
    if name is None:
        return None
    if name == "minilm":
        raise RunError("retrieval.rerank: minilm makes vectors and ranks nothing: name a cross-encoder")
    return load_reranker(named_base(recipe, name, revision), find_machine())


def load_reranker(base: Base, machine: Machine) -> Reranker:
    """A cross-encoder from a folder or the Hub. Raises RunError where it is not there or scores more than one thing."""
    from sentence_transformers import CrossEncoder

    options = {"device": machine.device, "model_kwargs": {"use_safetensors": True}}
    model = open_model(CrossEncoder, "retrieval.rerank", base, **options)
    if model.config.num_labels != 1:
        raise RunError(f"retrieval.rerank: {base.name} gives {model.config.num_labels} scores a pair and not one")
    return Reranker(model, machine)

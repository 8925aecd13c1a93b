"""Texts -> vectors, by a sentence-transformers model: normalised, so that a dot product is the cosine similarity.

On a GPU, and on CPUs that have bfloat16, matrices are multiplied in 16 bits (autocast), the rest in 32: twice as quick,
and a cosine moves by 1e-3, by 3e-3 at most. A model whose weights are bfloat16 itself drifts a hundred times further.
A few texts on a CPU, a question among them, are embedded in 32 bits: in 16, oneDNN keeps a kernel for every shape that
it sees, and a server would see new ones for days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.bases import Base, named_base
from finetune.hardware import Machine, find_machine
from finetune.silence import quiet
from finetune.student import batches
from rag.chunks import Spans
from rag.holdings import Vectors
from rag.models import open_model, room_for
from recipes.errors import RunError
from recipes.retrieval import Embedding
from recipes.schema import Recipe
from recipes.stages import embedding_fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_TOKENS = 1_500
"""Tokens, padding included, that go through the model together on a CPU: 1,000, 2,048 and 3,000 are slower."""
GPU_BATCH_TOKENS = 16_000
"""The same on a GPU."""
_FEW = 64
"""Texts that are embedded in 32 bits on a CPU, at most."""
_LEAST = 8
"""Tokens of a document that a model must read to be of use."""


class Embedder:
    """fingerprint: whatever changes a document's vector. width: numbers in a vector. max_tokens: most of a text that
    the model reads, without its own special tokens and the prompt.
    """

    def __init__(self, model: SentenceTransformer, settings: Embedding, fingerprint: str, machine: Machine) -> None:
        self._model, self._settings, self._machine = model, settings, machine
        self.fingerprint = fingerprint
        if settings.max_tokens is not None:
            model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
        self._tokenizer: Any = model.tokenizer
        self.width = int(model.get_embedding_dimension() or 0)
        longest = int(model.max_seq_length or 512)
        prompt = self.count(settings.document_prompt) if settings.document_prompt else 0
        self.max_tokens = longest - int(self._tokenizer.num_special_tokens_to_add()) - prompt
        if self.max_tokens < _LEAST:
            raise RunError(
                f"retrieval.embedding: {settings.model} reads {longest} tokens, of which document_prompt takes "
                f"{prompt}: shorten it, or raise max_tokens where it is set"
            )

    def documents(self, texts: Sequence[str]) -> Vectors:
        """A row of the result for each text. Raises RunError where memory runs out."""
        return self._embed(texts, self._settings.document_prompt)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """The same for questions."""
        return self._embed(texts, self._settings.query_prompt)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.spans(text))

    def spans(self, text: str) -> Spans:
        """Where each token of a text begins and ends, in characters."""
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(begin, end) for begin, end in found["offset_mapping"] if end > begin]

    def _embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        if not texts:
            return np.empty((0, self.width), np.float32)
        vectors = np.empty((len(texts), self.width), np.float32)
        advice = "lower retrieval.embedding.max_tokens or take a smaller model"
        with quiet(), room_for("embedding", self._machine, advice), self._precision(len(texts)):
            for batch in self._batches(texts):
                vectors[batch] = self._model.encode(
                    [texts[at] for at in batch],
                    prompt=prompt,
                    batch_size=len(batch),
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
        if not np.isfinite(vectors).all():
            raise RunError(f"retrieval.embedding.model: {self._settings.model} gives vectors that are not finite")
        return vectors

    def _batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Places of texts with like numbers of tokens, longest first. encode() sorts by characters, which leaves more
        than a quarter of what a batch of product texts holds to padding.
        """
        most = BATCH_TOKENS if self._machine.device == "cpu" else GPU_BATCH_TOKENS
        ids = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return batches([min(len(one), self.max_tokens) + 2 for one in ids], most)

    @contextmanager
    def _precision(self, texts: int) -> Iterator[None]:
        import torch

        few = texts <= _FEW and self._machine.device == "cpu"
        low = self._machine.precision != "fp32" and self._settings.backend == "torch" and not few
        with torch.autocast(self._machine.device, self._machine.dtype) if low else nullcontext():
            yield


def open_embedder(recipe: Recipe) -> Embedder:
    """Load the recipe's embedding model. Raises RunError where it is not there or cannot be used."""
    assert recipe.retrieval is not None, "the recipe has no section retrieval"
    settings = recipe.retrieval.embedding
    machine = find_machine()
    model = _load(named_base(recipe, settings.model, settings.revision), settings, machine)
    if not getattr(model.tokenizer, "is_fast", False):
        raise RunError(f"retrieval.embedding.model: {settings.model} has no fast tokenizer (tokenizer.json)")
    if settings.backend == "openvino":
        from rag.openvino import run_by_openvino

        with quiet():
            run_by_openvino(model)
    return Embedder(model, settings, embedding_fingerprint(recipe), machine)


def _load(base: Base, settings: Embedding, machine: Machine) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer

    device = "cpu" if settings.backend == "openvino" else machine.device
    weights = {"dtype": torch.float32, "use_safetensors": True}
    model: SentenceTransformer = open_model(
        SentenceTransformer, "retrieval.embedding.model", base, device=device, model_kwargs=weights
    )
    return model

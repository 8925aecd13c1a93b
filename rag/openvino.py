"""An embedding model's transformer run by OpenVINO, which is quicker on CPUs. The only file that imports openvino.

The package is used by itself: optimum-intel, through which sentence-transformers would reach it, needs an older
transformers than everything else here. What it would report to its makers is switched off before it is imported.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import torch

from recipes.errors import RunError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TRIED = ["lamp", "a red lamp for the desk", "a lamp that is red, for desks of all kinds and sizes, with a long cord"]
_DRIFT = 1e-3
"""Most by which a vector's cosine with the same one by torch may be under 1."""


def run_by_openvino(model: SentenceTransformer) -> None:
    """Have the transformer of a sentence-transformers model computed by OpenVINO from now on.

    Raises RunError where the package is missing, the model cannot be converted, or its vectors come out differently.
    """
    convert, core = _openvino()
    transformer: Any = model[0].auto_model
    plain = model.encode(_TRIED, normalize_embeddings=True, show_progress_bar=False)
    names = [name for name in _INPUTS if name in model.preprocess(_TRIED)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            example = {name: model.preprocess(_TRIED)[name] for name in names}
            compiled = core.compile_model(convert(_Hidden(transformer), example_input=example), "CPU")
    except Exception as error:
        sentence = str(error).strip().split("\n", 1)[0]
        raise RunError(f"retrieval.embedding.backend: openvino cannot take the model ({sentence}): use torch") from None
    transformer.forward = _Forward(compiled, names)
    quick = model.encode(_TRIED, normalize_embeddings=True, show_progress_bar=False)
    drift = float((1 - (plain * quick).sum(axis=1)).max())
    if not drift <= _DRIFT:
        raise RunError(f"retrieval.embedding.backend: openvino's vectors are off by {drift:.1e}: use torch")


def _openvino() -> tuple[Any, Any]:
    """Its converter and its runtime."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise RunError(
            "retrieval.embedding.backend: openvino needs its package: pip install 'tutelage[openvino]', or use torch"
        ) from None
    return openvino.convert_model, openvino.Core()


class _Hidden(torch.nn.Module):
    """The transformer with tensors in and a tensor out, as a converter wants it."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found: torch.Tensor = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **more)[0]
        return found


class _Forward:
    """In place of the transformer's own forward."""

    def __init__(self, compiled: Any, names: list[str]) -> None:
        self._compiled, self._names = compiled, names

    def __call__(self, **inputs: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        found = self._compiled({name: inputs[name].numpy() for name in self._names})[0]
        hidden: Any = torch.from_numpy(found.copy())
        return BaseModelOutput(last_hidden_state=hidden)

"""What can stop a training from outside, or spoil what it made, as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from finetune.hardware import is_out_of_memory
from recipes.errors import RunError, TrainingError


@contextmanager
def said_plainly(title: str, work: Path, memory: str) -> Iterator[None]:
    """From the first weight loaded to the last one written. memory: what took too much of it, and what to do."""
    try:
        yield
    except (RuntimeError, MemoryError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise TrainingError(f"{title}: out of memory {memory}") from None
        if not any(sign in str(error) for sign in ("PytorchStreamWriter", "No space left")):
            raise
        raise RunError(
            f"{work}: a checkpoint or the model cannot be written (is the disk full?): make room and run the same "
            "command again; it goes on from the checkpoint before"
        ) from None


def check_weights(title: str, learning_rate: float, model: Any) -> None:
    """Refuse weights that are no numbers: the loss does not show what the last step of all did to them."""
    trained = (weight for weight in model.parameters() if weight.requires_grad)
    if not all(bool(weight.isfinite().all()) for weight in trained):
        raise TrainingError(
            f"{title}: the weights are no numbers at the end of training: lower learning_rate ({learning_rate:g}) or "
            "set precision: fp32"
        )

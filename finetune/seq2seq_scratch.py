"""A seq2seq student from nothing: a tokenizer trained on its own rows, and a small T5 with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from recipes.errors import TrainingError
from recipes.seq2seq_student import Seq2seqStudent

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
"""T5's special tokens, with T5's ids: 0, 1 and 2."""


def make_t5_tokenizer(student: Seq2seqStudent, texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer trained on these texts; the same texts give the same tokenizer.

    Bytes, so that no character of a later lesson is unknown to it. A word is the same token at the beginning of a text
    as within: terms are copied from the one place to the other.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=student.scratch.vocabulary, special_tokens=[PAD, EOS, UNK], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    end = (EOS, tokenizer.token_to_id(EOS))
    frame = processors.TemplateProcessing(single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[end])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), frame])
    made: PreTrainedTokenizerBase = make(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNK, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    return made


def make_t5(student: Seq2seqStudent, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A T5 of the recipe's shape with weights drawn by `seed`, in float32."""
    from transformers import T5Config, T5ForConditionalGeneration, set_seed

    shape = student.scratch
    if len(tokenizer) > shape.vocabulary:
        raise TrainingError(f"the tokenizer has {len(tokenizer)} tokens and scratch.vocabulary is {shape.vocabulary}")
    configure: Any = T5Config
    config = configure(
        vocab_size=-(-len(tokenizer) // 64) * 64, d_model=shape.hidden, d_kv=shape.hidden // shape.heads,
        d_ff=shape.intermediate, num_layers=shape.layers, num_heads=shape.heads, dropout_rate=shape.dropout,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    set_seed(seed)
    make: Any = T5ForConditionalGeneration
    return cast("PreTrainedModel", make(config))

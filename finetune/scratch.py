"""A student from nothing: a tokenizer trained on its own rows, and a small Llama with random weights.

It shows the whole road on any machine, with nothing to download. It knows only what its rows say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from recipes.errors import TrainingError
from recipes.rows import ResponseRow
from recipes.students import CausalStudent, Scratch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BOS, EOS, PAD, TURN, TURN_END = "<|begin|>", "<|end|>", "<|pad|>", "<|turn|>", "<|turn_end|>"
TAGS = ("<think>", "</think>")
"""One token each, but no special ones: they are part of an answer's text, as in DeepSeek-R1's tokenizer."""
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn|>{{ message['role'] }}\n{{ message['content'] }}<|turn_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
POSITIONS = 2048
"""Longest input at the least: a student that is built on this one may have longer rows."""


def make_tokenizer(student: CausalStudent, rows: Sequence[ResponseRow]) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer trained on these rows; the same rows give the same tokenizer."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=student.scratch.vocabulary - len(TAGS), special_tokens=[BOS, EOS, PAD, TURN, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_texts(student, rows), trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False) for tag in TAGS])
    bos = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(f"{BOS} $A", special_tokens=[bos])]
    )
    made: PreTrainedTokenizerBase = make(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, chat_template=CHAT_TEMPLATE,
        additional_special_tokens=[TURN, TURN_END], clean_up_tokenization_spaces=False,
        model_max_length=positions_of(student),
    )  # fmt: skip
    return made


def _texts(student: CausalStudent, rows: Sequence[ResponseRow]) -> Iterator[str]:
    """What is in the rows, and the words around them that a format brings."""
    yield "### Instruction:\n\n### Input:\n\n### Question:\n\n### Response:\nsystem\nuser\nassistant\n"
    if student.instruction:
        yield student.instruction
    for row in rows:
        yield from (turn.content for turn in row.history)
        yield from (text for text in (row.question, row.reasoning, row.response) if text)


def make_model(student: CausalStudent, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A Llama of the recipe's shape with weights drawn by `seed`, in float32; head and embeddings are shared."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    shape: Scratch = student.scratch
    if len(tokenizer) > shape.vocabulary:
        raise TrainingError(f"the tokenizer has {len(tokenizer)} tokens and scratch.vocabulary is {shape.vocabulary}")
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden_size=shape.hidden, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=positions_of(student), tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    set_seed(seed)
    make: Any = LlamaForCausalLM
    return cast("PreTrainedModel", make(config))


def positions_of(student: CausalStudent) -> int:
    """Tokens of the longest row that a student from scratch, and all that are built on it, can have."""
    return max(POSITIONS, student.max_length)

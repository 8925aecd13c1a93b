"""Tokenizers of 600 tokens as Llama-3, DeepSeek-R1-Distill and Qwen have them, trained in code; with the templates that
those models ship, which TRL carries.

(Not tests/tokenizers.py: tests/ is on the path, and the name is taken by the library.)
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEXTS = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "### Instruction: ### Input: ### Question: ### Response: think step by step, system user assistant",
    "Which kettle boils a litre of water in three minutes, and is quiet? The steel one, of 1.7 litres.",
    "Écouteurs sans fil, 日本語 と emoji 🎧🏽, naïve café",
]


def template(name: str) -> str:
    """A chat template as TRL carries it, e.g. llama3."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def make_tokenizer(
    special: list[str], plain: list[str], chat: str | None, pattern: str = LLAMA3, nfc: bool = False, **names: Any
) -> PreTrainedTokenizerFast:
    """A byte-level BPE. special, plain: added tokens, marked special or not. A bos_token is put before every text."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=600, special_tokens=[], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    if bos := names.get("bos_token"):
        pair = [(bos, tokenizer.token_to_id(bos))]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=pair)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=chat, name_or_path="tiny", **names)


@cache
def llama3() -> PreTrainedTokenizerFast:
    """As Llama-3-Instruct's, but for eos_token: that of the base model, so that eos and end of turn differ."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return make_tokenizer(special, [], template("llama3"), bos_token=special[0], eos_token=special[1])


@cache
def llama32() -> PreTrainedTokenizerFast:
    """As Llama-3.2-Instruct's, whose template says today's date."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return make_tokenizer(special, [], template("llama3_2"), bos_token=special[0], eos_token=special[4])


@cache
def deepseek() -> PreTrainedTokenizerFast:
    """As DeepSeek-R1-Distill-Llama's: <｜User｜> and <think> are added tokens, but not special ones."""
    special = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    plain = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"]
    names = {"bos_token": special[0], "eos_token": special[1], "pad_token": special[2]}
    return make_tokenizer(special, plain, template("deepseek_r1_distill"), **names)


@cache
def qwen(chat: str = "qwen2_5") -> PreTrainedTokenizerFast:
    """As Qwen2.5's: ChatML, NFC, no BOS; chat: qwen3 for that of Qwen3, which has a place for reasoning."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    plain = ["<tool_call>", "</tool_call>"] + (["<think>", "</think>"] if chat == "qwen3" else [])
    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return make_tokenizer(special, plain, template(chat), QWEN, nfc=True, **names)


@cache
def llama2() -> PreTrainedTokenizerFast:
    """As Llama-2's: SentencePiece's ▁ for a space, one before every text, bytes for what is not in the vocabulary; no
    chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?#<>/'-_|"
    tokens += [*letters, *(f"▁{letter}" for letter in letters)]
    merges = [("▁", letter) for letter in letters]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in tokens[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, name_or_path="tiny", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )

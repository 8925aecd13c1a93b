"""Tokenizers as BERT, RoBERTa and DeBERTa have them, and NLI models of some thousand parameters, made in code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

LABELS = ("negative", "neutral", "positive")
TEXTS = [
    "The soup was hot and the bread was fresh.",
    "A broken zip, cold chips and nobody answers the phone!",
    "Das Buch hat mich gefesselt, eine klare Empfehlung.",
    "菜很好吃，服务员也很热情。",
    "ok",
    "The box holds a cable, a charger and a leaflet in six languages; it came on Thursday. " * 3,
]
WORDS = [*TEXTS, "The sentiment of this text is negative neutral positive.", "This example is about."]


def _fast(tokenizer: Tokenizer, **names: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=names.pop("most", 512), **names)


def bert(most: int = 512) -> PreTrainedTokenizerFast:
    """WordPiece; [CLS] text [SEP] hypothesis [SEP], token types 0 and 1."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        WORDS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _fast(tokenizer, most=most, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def roberta(most: int = 512) -> PreTrainedTokenizerFast:
    """Byte-level BPE; <s> text </s></s> hypothesis </s>, no token types."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return _fast(
        tokenizer, most=most, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def deberta(most: int = 512) -> PreTrainedTokenizerFast:
    """SentencePiece's unigrams, a space before every text; [CLS] text [SEP] hypothesis [SEP], token types 0 and 1."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="[UNK]", show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )  # fmt: skip
    return _fast(tokenizer, most=most, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


KINDS = {"bert": bert, "roberta": roberta, "deberta": deberta}
NAMES = {"bert": ("contradiction", "entailment", "neutral"), "roberta": ("CONTRADICTION", "NEUTRAL", "ENTAILMENT"),
         "deberta": ("entailment", "neutral", "contradiction")}  # fmt: skip
"""The names of the classes, in an order of its own each, as published models have them."""


def make_nli(folder: Path, kind: str = "bert", names: tuple[str, ...] = (), most: int = 512) -> Path:
    """An NLI model with random weights, whose logits are some units apart, and its tokenizer."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the module uses torch.jit.script
        from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    tokenizer, classes = KINDS[kind](most), dict(enumerate(names or NAMES[kind]))
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "initializer_range": 0.3, "num_labels": len(classes), "id2label": classes,
        "label2id": {name: place for place, name in classes.items()}, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    torch.manual_seed(0)
    model: Any
    if kind == "bert":
        model = BertForSequenceClassification(BertConfig(**shape, max_position_embeddings=most))
    elif kind == "roberta":
        model = RobertaForSequenceClassification(RobertaConfig(**shape, max_position_embeddings=most + 2))
    else:
        relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
        relative |= {"position_buckets": 16}
        model = DebertaV2ForSequenceClassification(
            DebertaV2Config(**shape, **relative, type_vocab_size=0, max_position_embeddings=most)
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

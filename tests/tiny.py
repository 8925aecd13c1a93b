"""A BERT of 20,000 parameters, a run folder with rows, and recipes: what the tests of finetune train."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recipes.rows import LabelRow, Split, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe

LABELS = ("negative", "neutral", "positive")
WORDS = {
    "negative": ["awful", "broken", "sad", "worst", "cold"],
    "neutral": ["table", "train", "monday", "street", "paper"],
    "positive": ["lovely", "great", "happy", "best", "warm"],
}
FILLER = ["the", "a", "this", "was", "is", "so", "and", "my", "we", "at", "it", "on"]


def make_base(folder: Path) -> Path:
    """A BERT with random weights and a WordPiece tokenizer trained on the words above."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    texts = [" ".join([*FILLER, *words]) for words in WORDS.values()]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    pair = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=pair)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def make_row(number: int, split: Split, gold: bool = True) -> LabelRow:
    """One row. Its gold label is that of the words in it; the teacher guesses at one row in ten."""
    draw = random.Random(f"{split}{number}")
    truth = draw.choice(LABELS)
    said = draw.choice(LABELS) if draw.random() < 0.1 else truth
    words = draw.choices(FILLER, k=draw.randint(1, 12)) + draw.choices(WORDS[truth], k=draw.randint(3, 6))
    draw.shuffle(words)
    soft = tuple(0.8 if label == said else 0.1 for label in LABELS)
    return LabelRow(
        id=f"{split}-{number}", text=" ".join(words), gold=truth if gold else None, split=split, group=str(number),
        label=said, soft=soft, votes=(said,), outcome="clean",
    )  # fmt: skip


def make_run(folder: Path, train: int = 120, validation: int = 40) -> RunFolder:
    """A run folder whose rows stage is done."""
    run = RunFolder(folder)
    write_rows(run.rows / "train.jsonl", [make_row(number, "train") for number in range(train)])
    write_rows(run.rows / "validation.jsonl", [make_row(number, "validation") for number in range(validation)])
    return run


def make_recipe(base: Path, **students: dict[str, Any]) -> Recipe:
    """A recipe whose students are given by what differs from a small classifier on `base`."""
    small = {
        "kind": "classifier",
        "base": str(base),
        "epochs": 2,
        "max_length": 32,
        "learning_rate": 5e-3,
        "batch_size": 8,
    }
    return Recipe.model_validate(
        {
            "name": "tiny",
            "task": "classify",
            "labels": LABELS,
            "source": {"path": "rows.jsonl", "text": "text", "label": "label"},
            "teacher": {"provider": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
            "synthesis": {"prompt": "sentiment-rationale"},
            "students": {name: small | student for name, student in students.items()},
        }
    )

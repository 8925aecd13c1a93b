"""Reviews with opinions and gold tuples, a run folder with them, and T5s of a few thousand weights: what the tests of
seq2seq students train."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recipes.rows import Aspect, AspectRow, Opinion, Split, UnderstandingRow, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe

THINGS = ["pizza", "soup", "staff", "wine", "music", "room"]
FEELINGS = {"great": "positive", "bad": "negative", "plain": "neutral"}
SHAPE = {"vocabulary": 512, "hidden": 32, "intermediate": 64, "layers": 1, "heads": 2}


def said(number: int, split: Split) -> list[tuple[str, str]]:
    """What a review says of which things."""
    draw = random.Random(f"{split}{number}")
    return [(thing, draw.choice(list(FEELINGS))) for thing in draw.sample(THINGS, k=draw.randint(1, 2))]


def aspect_row(number: int, split: Split) -> AspectRow:
    """A sentence and its gold tuples; one in ten has none."""
    parts = [] if number % 10 == 9 else said(number, split)
    text = " and ".join(f"the {thing} was {feeling}" for thing, feeling in parts) or "we went there"
    aspects = tuple(
        Aspect(target=thing, polarity=FEELINGS[feeling], start=text.index(thing), end=text.index(thing) + len(thing))  # type: ignore[arg-type]
        for thing, feeling in parts
    )
    return AspectRow(id=f"{split}-{number}", text=text, split=split, group=str(number), aspects=aspects)


def review_row(number: int, split: Split) -> UnderstandingRow:
    """A review of two lines, the opinions in it, and a rewrite; some have none."""
    parts = said(number, split)
    text = "\n".join(f"the {thing} was {feeling}" for thing, feeling in parts)
    opinions = tuple(
        Opinion(target=thing, aspect="quality", sentiment=FEELINGS[feeling], reasoning=f"it was {feeling}")  # type: ignore[arg-type]
        for thing, feeling in parts
    )
    rewrite = None if number % 10 == 9 else "I felt that " + " and ".join(f"the {a} was {b}" for a, b in parts)
    return UnderstandingRow(
        id=f"{split}-{number}", text=text, split=split, group=str(number), analysis=opinions, rewrite=rewrite
    )


def make_run(folder: Path, train: int = 40, validation: int = 12) -> RunFolder:
    """A run folder whose rows stages are done: reviews of its own, and the dataset `terms`."""
    run = RunFolder(folder)
    for split, count in (("train", train), ("validation", validation), ("test", 4)):
        write_rows(run.rows / f"{split}.jsonl", [review_row(number, split) for number in range(count)])
        write_rows(
            run.of_dataset("terms").rows / f"{split}.jsonl", [aspect_row(number, split) for number in range(count)]
        )
    return run


def make_recipe(**students: dict[str, Any]) -> Recipe:
    """A recipe whose students are given by what differs from a tiny one from scratch that learns `terms`."""
    small = {
        "kind": "seq2seq", "base": "scratch", "data": "terms", "max_length": 64, "max_target_length": 32,
        "learning_rate": 1e-2, "batch_size": 8, "epochs": 2, "scratch": SHAPE, "precision": "fp32",
    }  # fmt: skip
    made = {name: small | student for name, student in students.items()}
    for student in made.values():
        if student["base"] != "scratch":
            student.pop("scratch")
    return Recipe.model_validate(
        {
            "name": "tiny",
            "task": "understanding",
            "source": {"path": "reviews.jsonl", "text": "text"},
            "teacher": {"provider": "endpoint", "model": "m", "base_url": "http://127.0.0.1:1/v1"},
            "synthesis": {"prompt": "understanding-analysis", "rewrite_prompt": "understanding-rewrite"},
            "students": made,
            "datasets": {"terms": {"task": "atsa", "source": {"path": "terms.jsonl", "text": "text", "aspects": "a"}}},
        }
    )


def make_t5(folder: Path) -> Path:
    """A T5 of 15,000 weights with a tokenizer of T5's own kind: pieces of SentencePiece, no line break, no brace."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    words = [*THINGS, *FEELINGS, "the", "was", "and", "none", "positive", "negative", "neutral", "find", "terms"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(f"▁{word}", -2.0) for word in words]
    pieces += [(letter, -4.0) for letter in "abcdefghijklmnopqrstuvwxyzI|;:.,#0123456789"]
    make: Any = T5Tokenizer
    tokenizer = make(vocab=pieces, extra_ids=2)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    made: Any = T5ForConditionalGeneration(config)
    made.save_pretrained(folder)
    return folder

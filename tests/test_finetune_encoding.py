"""The order of rows, batches and padding: what training and answering share."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from finetune.encoding import encode, grouped_order, pad
from finetune.student import batches

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder: Path = tiny.make_base(tmp_path_factory.mktemp("base"))
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return loaded


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(1, 33), st.integers(0, 2**31), st.integers(0, 40))
def test_an_epoch_visits_every_row_once_and_depends_on_nothing_else(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    order = grouped_order(lengths, size, seed, epoch)
    torch.rand(3)  # the global generator is not asked
    assert sorted(order) == list(range(len(lengths)))
    assert order == grouped_order(lengths, size, seed, epoch)


def test_batches_are_of_like_length_and_differ_between_epochs() -> None:
    draw = random.Random(1)
    lengths = [draw.randint(5, 100) for _ in range(1000)]
    order = grouped_order(lengths, 16, seed=1, epoch=0)
    grouped = [order[start : start + 16] for start in range(0, 1000, 16)]
    padded = sum(len(batch) * max(lengths[place] for place in batch) for batch in grouped)
    assert padded < 1.1 * sum(lengths)  # a random order pads to about 1.8 times
    assert max(lengths[place] for place in grouped[0]) == max(lengths)
    means = [sum(lengths[place] for place in batch) / 16 for batch in grouped[1:-1]]
    assert means != sorted(means)
    assert means != sorted(means, reverse=True)
    assert order != grouped_order(lengths, 16, seed=1, epoch=1)
    assert order != grouped_order(lengths, 16, seed=2, epoch=0)


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(1, 600))
def test_answering_batches_hold_every_text_once_within_the_budget(lengths: list[int], tokens: int) -> None:
    parts = list(batches(lengths, tokens))
    assert sorted(place for part in parts for place in part) == list(range(len(lengths)))
    for part in parts:
        width = -(-max(lengths[place] for place in part) // 8) * 8
        assert len(part) == 1 or len(part) * width <= tokens


def test_truncated_texts_are_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded, cut = encode(tokenizer, ["warm " * 6, "warm " * 7, "warm", ""], max_length=8)
    assert cut == 1
    assert [len(one["input_ids"]) for one in encoded] == [8, 8, 3, 2]
    assert encode(tokenizer, [], 8) == ([], 0)


def test_padding_is_masked_and_to_a_multiple_of_eight(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded, _ = encode(tokenizer, ["warm", "warm " * 9], max_length=32)
    batch = pad(tokenizer, encoded, 32)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 16)
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 11]
    assert set(batch["input_ids"][0, 3:].tolist()) == {tokenizer.pad_token_id}
    assert pad(tokenizer, encoded, 11)["input_ids"].shape == (2, 11), "no further than the base has positions"

"""Pairs put together here are those that the tokenizer itself makes, whatever its kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_nli import KINDS, LABELS, TEXTS

from recipes.errors import TeacherError
from synth.pairs import Pairs

HYPOTHESES = [f"The sentiment of this text is {label}." for label in LABELS] + ["This example is about it!"]
TOKENIZERS = {name: make() for name, make in KINDS.items()}


def same_as_the_tokenizer(tokenizer: Any, texts: list[str], limit: int) -> None:
    pairs = Pairs(tokenizer, HYPOTHESES, limit, "tiny")
    ids, cut = pairs.read(texts)
    for place, text in enumerate(texts):
        wholes = [len(tokenizer(text, hypothesis, verbose=False)["input_ids"]) for hypothesis in HYPOTHESES]
        assert cut[place] == (max(wholes) > limit)
        for label, hypothesis in enumerate(HYPOTHESES):
            wanted = dict(tokenizer(text, hypothesis, truncation="only_first", max_length=limit))
            assert pairs.length(ids[place], label) == len(wanted["input_ids"])
            made = {name: table[0].tolist() for name, table in pairs.batch([(ids[place], label)]).items()}
            assert made.keys() == wanted.keys()
            for name, values in wanted.items():
                assert made[name][: len(values)] == values, (text, hypothesis, name)
            rest = set(made["input_ids"][len(wanted["input_ids"]) :])
            assert rest <= {tokenizer.pad_token_id}
            assert not any(made["attention_mask"][len(wanted["input_ids"]) :])
            assert len(made["input_ids"]) <= limit


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("limit", [40, 61, 512])
def test_pairs_are_those_of_the_tokenizer(kind: str, limit: int) -> None:
    same_as_the_tokenizer(TOKENIZERS[kind], TEXTS, limit)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(KINDS)), st.lists(st.text(max_size=60), min_size=1, max_size=3), st.integers(45, 90))
def test_any_text_makes_the_same_pair(kind: str, texts: list[str], limit: int) -> None:
    same_as_the_tokenizer(TOKENIZERS[kind], texts, limit)


def test_a_batch_is_padded_to_its_longest_pair() -> None:
    tokenizer = TOKENIZERS["bert"]
    pairs = Pairs(tokenizer, HYPOTHESES, 512, "tiny")
    (short, long), _ = pairs.read([TEXTS[4], TEXTS[0]])
    batch = pairs.batch([(short, 0), (long, 2)])
    longest = pairs.length(long, 2)
    assert batch["input_ids"].shape == (2, -(-longest // 8) * 8)
    assert batch["attention_mask"].sum(axis=1).tolist() == [pairs.length(short, 0), longest]


def test_a_hypothesis_must_leave_room_for_the_text() -> None:
    with pytest.raises(TeacherError, match=r"takes \d+ of the 16 tokens of a pair and leaves no room for the text"):
        Pairs(TOKENIZERS["bert"], HYPOTHESES, 16, "tiny")


def test_a_tokenizer_that_drops_one_of_the_two_is_refused() -> None:
    def odd(text: str, _hypothesis: str = "", **options: Any) -> Any:
        return TOKENIZERS["bert"](text, **options)

    with pytest.raises(TeacherError, match="does not put a text and a hypothesis together as an NLI model's does"):
        Pairs(odd, HYPOTHESES, 128, "odd")

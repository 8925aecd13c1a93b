"""Texts as tokens and back: T5's tokenizer keeps line breaks, and no text spells a special token."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_t5
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.bases import Base
from finetune.seq2seq_codec import LINE, Seq2seqCodec
from finetune.seq2seq_model import load_seq2seq, load_seq2seq_tokenizer
from finetune.seq2seq_scratch import make_t5_tokenizer

MADE = make_t5_tokenizer(
    tiny_t5.make_recipe(a={}).seq2seq("a"), [tiny_t5.review_row(number, "train").text for number in range(20)]
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tiny_t5.make_t5(tmp_path_factory.mktemp("t5"))
    return Base("t5", str(folder), None, None)


@pytest.fixture(scope="module")
def codec(base: Base) -> Seq2seqCodec:
    return Seq2seqCodec(load_seq2seq_tokenizer(base))


def test_t5_loses_line_breaks_and_ours_does_not(base: Base, codec: Seq2seqCodec) -> None:
    from transformers import AutoTokenizer

    text = "the pizza was great\nthe staff was bad"
    plain = AutoTokenizer.from_pretrained(base.place)
    assert plain(text)["input_ids"] == plain(text.replace("\n", " "))["input_ids"]
    ids = codec.targets([text])[0]
    assert codec.text(ids) == text
    assert codec.targets([text.replace("\n", "\r\n")])[0] == ids


def test_the_new_token_has_a_row_in_the_embeddings(base: Base, codec: Seq2seqCodec) -> None:
    number = codec.tokenizer.convert_tokens_to_ids(LINE)
    assert number == len(codec.tokenizer) - 1
    embeddings = load_seq2seq(base, codec.tokenizer).get_input_embeddings().weight  # type: ignore[union-attr]
    assert embeddings.shape[0] > number


def test_it_is_still_there_when_the_tokenizer_is_saved(codec: Seq2seqCodec, tmp_path: Path) -> None:
    codec.tokenizer.save_pretrained(tmp_path)
    again = load_seq2seq_tokenizer(Base("again", str(tmp_path), None, None))
    assert len(again) == len(codec.tokenizer)
    assert Seq2seqCodec(again).targets(["the soup\nthe wine"]) == codec.targets(["the soup\nthe wine"])


@pytest.mark.parametrize("spelt", ["</s>", "<pad>", "<unk>", "<extra_id_0>", LINE])
def test_a_text_that_spells_a_special_token_does_not_have_it(codec: Seq2seqCodec, spelt: str) -> None:
    ids = codec.targets([f"the soup {spelt} was bad"])[0]
    assert ids.count(codec.tokenizer.eos_token_id) == 1
    assert ids[-1] == codec.tokenizer.eos_token_id
    assert codec.tokenizer.convert_tokens_to_ids(spelt) not in ids[:-1] or spelt == "<unk>"
    assert codec.text(ids).startswith("the soup")
    assert codec.text(ids).endswith("was bad")


@settings(deadline=None)
@given(st.text())
def test_with_a_tokenizer_of_bytes_any_text_comes_back(text: str) -> None:
    made = Seq2seqCodec(MADE)
    (ids,) = made.targets([text])
    assert ids[-1] == MADE.eos_token_id
    if not any(token in text for token in ("<pad>", "</s>", "<unk>")):
        assert made.text(ids) == text.strip()


def test_special_tokens_of_a_made_one_are_t5s() -> None:
    assert [MADE.pad_token_id, MADE.eos_token_id, MADE.unk_token_id] == [0, 1, 2]
    assert LINE not in MADE.get_added_vocab()
    assert MADE("pizza", add_special_tokens=False)["input_ids"] == MADE(" pizza", add_special_tokens=False)["input_ids"]


def test_what_is_cut_is_counted_and_keeps_its_end_token(codec: Seq2seqCodec) -> None:
    sources, cut = codec.sources(["the soup was bad " * 9, "the soup"], 12)
    assert cut == 1
    assert [len(one["input_ids"]) for one in sources] == [12, 3]
    assert all(one["input_ids"][-1] == codec.tokenizer.eos_token_id for one in sources)

"""base: scratch: the tokenizer is that of its rows, and the same rows and seed give the same model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_causal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.formats import Renderer
from finetune.scratch import BOS, EOS, PAD, make_model, make_tokenizer
from recipes.errors import TrainingError

ROWS = [tiny_causal.make_row(number, "train") for number in range(30)]
STUDENT = tiny_causal.make_recipe(a={}).causal("a")
TOKENIZER = make_tokenizer(STUDENT, ROWS)


def test_it_has_a_beginning_an_end_and_a_padding_of_their_own() -> None:
    ids = [TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id]
    assert len(set(ids)) == 3
    assert (TOKENIZER.bos_token, TOKENIZER.eos_token, TOKENIZER.pad_token) == (BOS, EOS, PAD)
    assert TOKENIZER("red kettle")["input_ids"][0] == TOKENIZER.bos_token_id
    assert len(TOKENIZER) <= STUDENT.scratch.vocabulary
    assert len(TOKENIZER.encode("<think>", add_special_tokens=False)) == 1


@settings(deadline=None)
@given(st.text())
def test_any_text_goes_there_and_back(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    assert TOKENIZER.decode(ids, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("form", ["alpaca", "think", "chat"])
def test_every_format_can_be_rendered_and_read_back(form: str) -> None:
    renderer = Renderer(STUDENT.model_copy(update={"format": form}), TOKENIZER)
    encoded = renderer.encode(ROWS[0])
    assert encoded.input_ids[-1] in renderer.stops
    assert encoded.input_ids.count(TOKENIZER.bos_token_id) == 1
    parsed = renderer.parse(renderer.decode(encoded.input_ids[encoded.start :]))
    assert parsed.response == ROWS[0].response


def test_the_same_rows_give_the_same_tokenizer_in_another_process() -> None:
    program = (
        "import hashlib, sys; sys.path[:0] = sys.argv[1:]\nimport tiny_causal\n"
        "from finetune.scratch import make_tokenizer\n"
        "rows = [tiny_causal.make_row(number, 'train') for number in range(30)]\n"
        "made = make_tokenizer(tiny_causal.make_recipe(a={}).causal('a'), rows)\n"
        "print(made.backend_tokenizer.to_str())"
    )
    places = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", program, *places], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == TOKENIZER.backend_tokenizer.to_str()  # type: ignore[attr-defined]


def test_the_seed_draws_the_weights() -> None:
    first, again, other = (make_model(STUDENT, TOKENIZER, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.get_input_embeddings().weight, other.get_input_embeddings().weight)
    assert first.num_parameters() < 500_000
    assert first.config.max_position_embeddings == 2048


def test_a_vocabulary_that_is_too_small_is_refused() -> None:
    small = STUDENT.model_copy(update={"scratch": STUDENT.scratch.model_copy(update={"vocabulary": 100})})
    with pytest.raises(TrainingError, match=r"scratch\.vocabulary is 100"):
        make_model(small, TOKENIZER, 1)

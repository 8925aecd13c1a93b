"""A byte-level tokenizer keeps its spaces, whatever class its folder names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import TEXTS, make_llama, make_tokenizer
from transformers import AutoTokenizer

from finetune.tokenizer_files import name_whole_class, open_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=["LlamaTokenizerFast", "LlamaTokenizer", "PreTrainedTokenizerFast"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = make_llama(tmp_path_factory.mktemp("r1") / "llama")
    config = json.loads((place / "tokenizer_config.json").read_text())
    (place / "tokenizer_config.json").write_text(
        json.dumps(config | {"tokenizer_class": request.param, "add_bos_token": True, "legacy": True})
    )
    return place


def test_ids_are_those_of_tokenizer_json(folder: Path) -> None:
    expected, opened = make_tokenizer(), open_tokenizer(folder)
    for text in [*TEXTS, " two  spaces\n\n<think>no</think><|eot_id|>"]:
        assert opened(text).input_ids == expected(text).input_ids
        assert opened.decode(opened(text, add_special_tokens=False).input_ids) == text
    assert (opened.bos_token_id, opened.eos_token_id, opened.pad_token_id) == (0, 1, 5)
    assert opened.chat_template == expected.chat_template


@given(st.text(max_size=60))
def test_any_text_comes_back(folder: Path, text: str) -> None:
    tokenizer = open_tokenizer(folder)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_mended_folder_opens_whole_for_others(folder: Path) -> None:
    name_whole_class(folder)
    text = "It's 12345 naïve  日本"
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids == make_tokenizer()(text).input_ids

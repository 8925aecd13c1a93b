# ruff: noqa: E501 (sentences and tables stay on one line)
"""Keys: found in the environment or .env, never put anywhere, taken out of every text."""

from __future__ import annotations

import os

import pytest

from recipes import keys
from recipes.errors import TeacherError

KEY = "canary-1234567890-secret"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(keys, "_folders", [])
    monkeypatch.setattr(keys, "_seen", set())
    monkeypatch.chdir(tmp_path)


def test_the_environment_comes_first_then_the_working_directory_then_the_recipes_folder(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / ".env").write_text("MY_KEY=from-recipe\nOTHER=only-there\n", encoding="utf-8")
    keys.look_in(tmp_path / "recipes")
    assert keys.read_key("MY_KEY") == "from-recipe"
    (tmp_path / ".env").write_text('export MY_KEY="from-cwd"  # mine\n', encoding="utf-8")
    assert keys.read_key("MY_KEY") == "from-cwd"
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    assert keys.read_key("MY_KEY") == KEY
    assert keys.read_key("OTHER") == "only-there"
    assert "OTHER" not in os.environ


@pytest.mark.parametrize("variable", [None, "NOWHERE", "EMPTY"])
def test_no_key_is_none(monkeypatch, variable):
    monkeypatch.setenv("EMPTY", "")
    assert keys.read_key(variable) is None


def test_a_dollar_in_a_key_is_a_dollar(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME_X", "expanded")
    (tmp_path / ".env").write_text("MY_KEY=a${HOME_X}b\n", encoding="utf-8")
    assert keys.read_key("MY_KEY") == "a${HOME_X}b"


def test_every_key_read_is_redacted_longest_first(monkeypatch):
    monkeypatch.setenv("A", KEY)
    monkeypatch.setenv("B", KEY + "-longer")
    keys.read_key("A")
    keys.read_key("B")
    assert keys.redact(f"401 for {KEY}-longer and {KEY}.") == "401 for [key] and [key]."


def test_a_providers_key_is_redacted_though_never_read():
    text = "Incorrect API key provided: sk-proj-Abc123Abc123Abc123, Bearer fw_3ZabcdeFGHIJ1234567890"
    assert keys.redact(text) == "Incorrect API key provided: [key], Bearer [key]"
    assert keys.redact("a sketch of task-oriented-dialogue-systems2") == "a sketch of task-oriented-dialogue-systems2"


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "schlüssel"])
def test_what_no_header_can_carry_is_refused_and_not_repeated(monkeypatch, value):
    monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(TeacherError, match="MY_KEY does not hold one API key") as caught:
        keys.read_key("MY_KEY")
    assert value not in str(caught.value)


def test_a_dotenv_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / ".env").write_text("MY_KEY=x", encoding="utf-16")
    with pytest.raises(TeacherError, match=r"\.env cannot be read: it is not UTF-8 text"):
        keys.read_key("MY_KEY")


@pytest.mark.parametrize(
    "text", ["sk-1234567890abcdefghij", "hf_abcdefghijKLMNOP1234", "AKIA1234567890ABCDEF", "gsk_a1b2c3d4e5f6g7h8i9j0"]
)
def test_what_keys_look_like(text):
    assert keys.looks_like_key(f'key_env: "{text}"')


@pytest.mark.parametrize(
    "text", ["accounts/fireworks/models/deepseek-v3", "sk-learn-tfidf-baseline-model", "key_env: OPENAI_API_KEY", "roberta-base",
             "e83c5163316f89bfbde7d9ab23ca2e25604af290", "students.roberta-large-2", "monkey-business-like-this-1234"]
)  # fmt: skip
def test_what_keys_do_not_look_like(text):
    assert not keys.looks_like_key(text)


def test_long_tokens():
    assert keys.is_long_token("a8f3k2l9d7s6q1w4e5r8t9y2u3i1o7p6")
    assert not keys.is_long_token("MY_COMPANY_OPENAI_COMPATIBLE_API_KEY")
    assert not keys.is_long_token("OPENAI_API_KEY_2")

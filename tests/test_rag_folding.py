"""A conversation to a prompt of each format: nothing of it is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny_llama
import tiny_tokenizers

from finetune.formats import Renderer
from rag.folding import Folding, tidy
from recipes.errors import AskError
from recipes.rows import Turn
from recipes.students import CausalStudent


def system(text: str) -> Turn:
    return Turn(role="system", content=text)


def user(text: str) -> Turn:
    return Turn(role="user", content=text)


def assistant(text: str) -> Turn:
    return Turn(role="assistant", content=text)


NO_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}"
)
TALK = [user("A lamp?"), assistant("This one."), user("Is it bright?")]


def folding(form: str, tokenizer: Any, instruction: str | None = None) -> tuple[Folding, Callable[[list[Turn]], str]]:
    section = {"kind": "causal", "base": "b", "format": form, "instruction": instruction}
    renderer = Renderer(CausalStudent.model_validate(section), tokenizer)
    found = Folding(renderer)
    return found, lambda messages: str(tokenizer.decode(found.prompt(messages)))


@pytest.mark.parametrize("form", ["alpaca", "think"])
def test_a_system_text_is_the_instruction_and_a_conversation_goes_before_the_question(form: str) -> None:
    tokenizer = tiny_tokenizers.deepseek()
    found, prompt = folding(form, tokenizer, "Describe it.")
    assert (found.turns, found.system) == (False, True)
    renderer = found._renderer
    assert found.prompt([user("A lamp?")]) == renderer.encode_prompt("A lamp?")
    assert found.prompt([system("Be brief."), user("A lamp?")]) == renderer.encode_prompt(
        "A lamp?", [system("Be brief.")]
    )
    text = prompt([system("Be brief."), *TALK])
    assert "### Instruction:\nBe brief." in text
    assert "Describe it." not in text
    assert "Customer: A lamp?\n\nAssistant: This one.\n\nIs it bright?\n\n### Response:" in text


def test_a_chat_template_takes_it_all() -> None:
    found, prompt = folding("chat", tiny_tokenizers.llama3(), "Describe it.")
    assert (found.turns, found.system) == (True, True)
    assert found.prompt([system("Be brief."), *TALK]) == found._renderer.encode_prompt(
        "Is it bright?", [system("Be brief."), *TALK[:2]]
    )
    assert "Describe it." in prompt(TALK)
    late = [assistant("Hello!"), user("A lamp?")]  # a template wants a question first
    assert "Assistant: Hello!\n\nA lamp?" in prompt(late)


def test_a_template_without_a_place_for_a_system_message() -> None:
    tokenizer = tiny_llama.make_tokenizer()
    tokenizer.chat_template = NO_SYSTEM
    found, prompt = folding("chat", tokenizer)
    assert (found.turns, found.system) == (True, False)
    assert ">Be brief.\n\nA lamp?<" in prompt([system("Be brief."), user("A lamp?")])
    text = prompt([system("Be brief."), *TALK])
    assert ">Be brief.\n\nA lamp?<" in text
    assert ">Is it bright?<" in text


def test_messages_are_made_to_alternate() -> None:
    asked = [user("a"), system("s"), user("b \ud800"), assistant("c"), system("t"), user("d")]
    assert tidy(asked) == [system("s\n\nt"), user("a\n\nb \ufffd"), assistant("c"), user("d")]
    found, _ = folding("chat", tiny_tokenizers.llama3())
    for wrong in ([], [system("s")], [*TALK, assistant("c")]):
        with pytest.raises(AskError, match="the last message must be the user's"):
            found.prompt(wrong)

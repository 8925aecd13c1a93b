"""Modelfiles: what Ollama reads out of them is what went in, and the template is the training format.

That Go renders these templates to the same bytes as Jinja is measured by bench/ollama_template.py.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import make_tokenizer

from finetune.ollama import modelfile
from finetune.turns import Turns, chat_turns, escape, go_template, question_turns
from finetune.turns_jinja import jinja_template
from recipes.errors import TrainingError

pytestmark = pytest.mark.filterwarnings("ignore")
END = "<|end_of_text|>"
ALPACA = ("<s>Do it.\n\n### Input:\n", "\n\n### Response:\n", END, "<s>")
THINK = ("### Question:\n", "\n\n### Response:\n<think>\n", END)


def parse(text: str) -> list[tuple[str, str]]:
    """Commands and values as Ollama's parser reads them: a value ends with its line, but goes on to the next one while
    its quotation marks are open; what is not printable is dropped; nothing is an escape.
    """
    commands, lines = [], text.split("\n")
    while lines:
        line = lines.pop(0)
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name == "PARAMETER":
            name, _, value = value.partition(" ")
        while (found := unquote(value.strip())) is None:
            value += "\n" + lines.pop(0)
        commands.append((name, "".join(one for one in found if one.isprintable() or one in "\n\t")))
    return commands


def unquote(value: str) -> str | None:
    for marks in ('"""', '"'):
        if value.startswith(marks):
            whole = len(value) >= 2 * len(marks) and value.endswith(marks)
            return value[len(marks) : -len(marks)] if whole else None
    return value


def literal(template: str) -> str:
    """The text of a Go template whose only actions are strings."""
    return re.sub(r'\{\{ "((?:\\.|[^"\\])*)" \}\}', lambda at: at[1].encode("ascii").decode("unicode_escape"), template)


def test_alpaca_to_the_byte() -> None:
    made = modelfile(
        "m-q8_0.gguf", question_turns(*ALPACA), [END, "### Input:"], temperature=0.1, top_p=0.9, max_length=2048
    )
    assert made == (
        "# ollama create NAME -f Modelfile\n"
        "FROM ./m-q8_0.gguf\n"
        'TEMPLATE """{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}Do it.\n\n### Input:\n{{ .Content }}\n\n'
        '### Response:\n{{ else if eq .Role "assistant" }}{{ .Content }}'
        '{{ if not (eq (len (slice $.Messages $i)) 1) }}<|end_of_text|>{{ end }}{{ end }}{{ end }}"""\n'
        'PARAMETER stop "<|end_of_text|>"\n'
        'PARAMETER stop "### Input:"\n'
        "PARAMETER temperature 0.1\n"
        "PARAMETER top_p 0.9\n"
        "PARAMETER top_k 0\n"
        "PARAMETER num_ctx 2048\n"
        "PARAMETER repeat_penalty 1\n"
    )


def test_think_ends_open_and_shows_ollama_how_reasoning_is_written() -> None:
    template = go_template(question_turns(*THINK))
    assert template.count("### Response:\n{{ else") == 1  # an earlier question is not followed by <think>
    assert '(ne .Role "assistant") }}<think>\n{{ end }}{{ end }}' in template
    assert "<think>\n{{ .Thinking }}\n</think>\n{{ end }}{{ .Content }}" in template


def test_chat_is_read_off_the_tokenizers_template() -> None:
    head, eot = "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
    turns = chat_turns(make_tokenizer(), "<|begin_of_text|>")
    assert turns.user[0].endswith(head.format("user")) and turns.user[1] == eot + head.format("assistant")
    assert turns.system is not None and turns.system[0] == head.format("system")
    assert (turns.bare, turns.ask) == ("", "")
    talk = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    assert turns.render(talk) == f"{head.format('system')}S{eot}{head.format('user')}Q{eot}{head.format('assistant')}"
    made = modelfile("m.gguf", turns, [eot], temperature=0, top_p=0.9, max_length=512, system='Be "kind".\nBe short.')
    assert ("SYSTEM", 'Be "kind".\nBe short.') in parse(made)
    assert "begin_of_text" not in made  # Ollama puts BOS there; a second one changes answers


def test_template_with_a_default_system_message_and_open_thought() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}"
        "{% else %}Be good.{% endif %}"
        "{% for m in messages if m['role'] != 'system' %}[{{ m['role'] }}]{{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]<think>\n"
        "{% endif %}"
    )
    turns = chat_turns(tokenizer, tokenizer.bos_token)
    assert turns == Turns(
        user=("[user]", "[assistant]"), assistant=("", "</s>"), system=("", ""), bare="Be good.", ask="<think>\n"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ loop.index }}{{ m['content'] }};{% endfor %}",  # each turn is numbered
        "{{ messages[-1]['content'] }}",  # history is left out
        "{{ raise_exception('no') }}",
    ],
)
def test_templates_that_are_no_turns_are_refused(template: str) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(TrainingError, match="cannot be told to Ollama"):
        chat_turns(tokenizer)


def test_template_without_system_has_no_place_for_one() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}[assistant]"
    )
    turns = chat_turns(tokenizer)
    assert turns.system is None
    with pytest.raises(TrainingError, match="no place for a system message"):
        modelfile("m.gguf", turns, [END], temperature=0, top_p=0.9, max_length=9, system="Be kind.")


@given(st.text(st.sampled_from('{}" \n\t\\-a\u00a0\u200d🎧日') | st.characters(codec="utf-8"), max_size=30))
def test_any_text_comes_through_the_template(text: str) -> None:
    assert literal(escape(text)) == text
    made = modelfile(
        "a b.gguf", Turns(user=(text, ""), assistant=("", "")), ["x"], temperature=0.7, top_p=0.9, max_length=9
    )
    commands = parse(made)
    assert [name for name, _ in commands] == [
        "FROM",
        "TEMPLATE",
        "stop",
        "temperature",
        "top_p",
        "top_k",
        "num_ctx",
        "repeat_penalty",
    ]
    inside = commands[1][1].removeprefix('{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}')
    assert literal(inside.partition("{{ .Content }}")[0]) == text or "{{ .Content }}" in text
    assert commands[0][1] == "./a b.gguf"


@given(st.text(st.sampled_from('"a \n\t#') | st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_stops_come_back_or_are_refused(stop: str) -> None:
    try:
        made = modelfile("m.gguf", question_turns(*THINK), [stop, END], temperature=0, top_p=0.9, max_length=9)
    except TrainingError as error:
        assert "a Modelfile cannot hold" in str(error)
        return
    assert [value for name, value in parse(made) if name == "stop"] == list(dict.fromkeys([stop, END]))


def test_what_a_modelfile_cannot_hold() -> None:
    turns = Turns(("", ""), ("", ""), ("", ""))
    for system, said in (('say """\nand more', 'ends with """'), ("a\u00a0b", r"U\+00A0")):
        with pytest.raises(TrainingError, match=said):
            modelfile("m.gguf", turns, [END], temperature=0, top_p=0.9, max_length=9, system=system)
    made = modelfile("m.gguf", turns, [END], temperature=0, top_p=0.9, max_length=9, system='mid """ line')
    assert ("SYSTEM", 'mid """ line') in parse(made)


@pytest.mark.parametrize("made", [question_turns(*ALPACA), question_turns(*THINK), "chat"])
def test_jinja_template_renders_the_same_turns(made: Any) -> None:
    tokenizer = make_tokenizer()
    turns = chat_turns(tokenizer, tokenizer.bos_token) if made == "chat" else made
    tokenizer.chat_template = jinja_template(turns)
    roles = ("user", "assistant", "user", "assistant", "user")
    talk = [{"role": role, "content": f"{{{{ {role} }}}} \\n {number}"} for number, role in enumerate(roles)]
    systems = [[], [{"role": "system", "content": "Be kind."}]] if turns.system else [[]]
    for system in systems:
        text = tokenizer.apply_chat_template([*system, *talk], tokenize=False, add_generation_prompt=True)
        assert text == tokenizer.bos_token + turns.render([*system, *talk])

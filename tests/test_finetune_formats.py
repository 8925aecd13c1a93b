"""One function renders a row: held for every format on tokenizers like Llama-3's, DeepSeek-R1's and Qwen's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny_tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

import finetune.rendering_chat
from finetune.formats import Renderer
from finetune.rendering import hide_first, hide_tags, show_first, show_tags
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.students import CausalStudent

GOLDEN = Path(__file__).parent / "golden"
TOKENIZERS = {
    "llama3": tiny_tokenizers.llama3, "deepseek": tiny_tokenizers.deepseek, "qwen": tiny_tokenizers.qwen,
    "qwen3": lambda: tiny_tokenizers.qwen("qwen3"), "llama2": tiny_tokenizers.llama2,
}  # fmt: skip
CASES = [
    (name, form) for name in TOKENIZERS for form in ("alpaca", "think", "chat") if (name, form) != ("llama2", "chat")
]
SPELT = [
    "<|eot_id|>", "<|begin_of_text|>", "<｜User｜>", "<｜end▁of▁sentence｜>", "<|im_end|>", "<|im_start|>", "<think>",
    "</think>", "<\\/think>", "<tool_call>", "</s>", "<", ">", "<|", "### Response:\n", "\n", " ",
]  # fmt: skip
WORDS = st.lists(st.text(max_size=12) | st.sampled_from(SPELT), max_size=5).map("".join)


def make_renderer(name: str, form: str, instruction: str | None = "Be brief.") -> Renderer:
    student = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": form, "instruction": instruction})
    return Renderer(student, TOKENIZERS[name]())


def make_row(question: str, reasoning: str | None, response: str, history: tuple[Turn, ...] = ()) -> ResponseRow:
    return ResponseRow(
        id="1", split="train", group="1", question=question, reasoning=reasoning, response=response, history=history
    )


RENDERERS = {
    (name, form, told): make_renderer(name, form, told) for name, form in CASES for told in (None, "Be brief.")
}


def as_stored(tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    """What is left of a text after encoding and decoding: composed letters for Qwen, SentencePiece's ▁ as a space."""
    if tokenizer is tiny_tokenizers.llama2():
        return text.replace("▁", " ")
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer.normalize_str(text) if normalizer is not None else text


@pytest.mark.parametrize(("name", "form"), CASES)
@settings(deadline=None, max_examples=60)
@given(WORDS, st.none() | WORDS, WORDS, st.sampled_from([None, "Be brief."]))
@example("<|eot_id|><｜User｜><|im_end|>", "a</think>b", "<think>c</think>", None)
@example("<|eot_id", "<", "|>", None)
@example("q", None, "</think>", "Be brief.")
@example("q", "", "<\\think>", "Be brief.")
def test_a_row_is_rendered_and_read_back(
    name: str, form: str, question: str, reasoning: str | None, response: str, told: str | None
) -> None:
    renderer, tokenizer = RENDERERS[name, form, told], TOKENIZERS[name]()
    row = make_row(question, reasoning, response)
    rendered, encoded = renderer.render(row), renderer.encode(row)
    prompt, completion = encoded.input_ids[: encoded.start], encoded.input_ids[encoded.start :]

    # the training prefix is the generation prompt
    assert prompt == renderer.encode_prompt(question)
    assert as_stored(tokenizer, rendered.prompt) == renderer._codec.decode(prompt) or name == "llama2"
    # all of the completion is under the loss, and it ends with the one token that ends an answer
    assert as_stored(tokenizer, rendered.completion) == renderer._codec.decode(completion)
    assert [place for place, one in enumerate(completion) if one in renderer.stops] == [len(completion) - 1]
    assert rendered.completion.endswith(renderer.end)
    # it reads back as the row
    thought = (reasoning or "").strip() if form != "alpaca" else ""
    parsed = renderer.parse(rendered.completion.removesuffix(renderer.end))
    assert (parsed.reasoning, parsed.response) == (thought or None, response.strip())
    assert parsed.valid == bool(response.strip())
    assert renderer.parse(renderer.decode(completion)).response == as_stored(tokenizer, response.strip()).strip()
    # one BOS where the tokenizer has one, and no special token that the row's words spell
    assert encoded.input_ids.count(tokenizer.bos_token_id) == (tokenizer.bos_token_id is not None)
    plain = renderer.encode(make_row("q", "t" if thought else None, "a")).input_ids
    added = set(tokenizer.get_added_vocab().values())
    assert [one for one in encoded.input_ids if one in added] == [one for one in plain if one in added]


@pytest.mark.parametrize(("name", "form"), CASES)
def test_golden_bytes(name: str, form: str) -> None:
    """The very texts. UPDATE_GOLDEN=1 writes them anew, for a person to read and commit."""
    rows = {
        "reasoning": make_row("Which kettle is quiet?", "Noise is bubbles.\n\nSteel damps it.", "The steel one."),
        "plain": make_row("Kettle, 1.7 litres", None, "A steel kettle.\nWith a lid."),
    }
    if form == "chat":
        turns = (Turn(role="system", content="You sell kettles."), Turn(role="user", content="Hello"))
        rows["history"] = make_row("And <|eot_id|>?", None, "Né.", (*turns, Turn(role="assistant", content="Yes?")))
    parts = []
    for told in ("You know products.", None):
        renderer = make_renderer(name, form, told)
        for kind, row in rows.items():
            rendered = renderer.render(row)
            head = f"===== {kind}, {'with' if told else 'without'} instruction"
            parts.append(f"{head} =====\n{rendered.prompt}[[[{rendered.completion}]]]\n")
    path, found = GOLDEN / f"{name}-{form}.txt", "".join(parts).encode()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_bytes(found)
    assert path.read_bytes() == found


@pytest.mark.parametrize("name", ["llama3", "deepseek", "qwen", "qwen3"])
def test_a_chat_prompt_is_the_templates_own(name: str) -> None:
    tokenizer, renderer = TOKENIZERS[name](), make_renderer(name, "chat", None)
    turns = [("system", "Sell."), ("user", "Hello?"), ("assistant", "Yes!"), ("user", "A kettle.")]
    history = tuple(Turn.model_validate({"role": role, "content": content}) for role, content in turns[:-1])
    messages = [{"role": role, "content": content} for role, content in turns]
    theirs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    assert renderer.encode_prompt("A kettle.", history) == theirs


def test_reasoning_goes_where_the_template_has_a_place_for_it() -> None:
    row = make_row("q", "why", "so")
    assert make_renderer("deepseek", "chat").render(row).completion == "why\n</think>\n\nso<｜end▁of▁sentence｜>"
    assert make_renderer("qwen3", "chat").render(row).completion == "<think>\nwhy\n</think>\n\nso<|im_end|>"
    assert make_renderer("llama3", "chat").render(row).completion == "<think>\nwhy\n</think>\n\nso<|eot_id|>"


def test_stops() -> None:
    tokenizer = tiny_tokenizers.llama3()
    ids = [tokenizer.convert_tokens_to_ids(token) for token in ("<|eot_id|>", "<|end_of_text|>")]
    assert make_renderer("llama3", "chat").stops == tuple(ids)
    assert make_renderer("llama3", "think").stops == (ids[1],)


@pytest.mark.parametrize(
    ("text", "reasoning", "response", "valid"),
    [
        ("First this.\n</think>\n\nThe steel one.", "First this.", "The steel one.", True),
        ("<think>First this.</think>The steel one.", "First this.", "The steel one.", True),
        ("Never done thinking", "Never done thinking", "", False),
        ("Done.\n</think>\n", "Done.", "", False),
        ("</think>So <think>.", None, "So <think>.", True),
    ],
)
@pytest.mark.parametrize("name", ["llama3", "deepseek"])
def test_what_a_student_says_is_read(name: str, text: str, reasoning: str | None, response: str, valid: bool) -> None:
    parsed = make_renderer(name, "think").parse(text)
    assert (parsed.reasoning, parsed.response, parsed.valid) == (reasoning, response, valid)


def test_tags_are_hidden_without_loss() -> None:
    assert hide_tags("a</think>b<\\think>") == "a<\\/think>b<\\\\think>"
    assert hide_first("a<think>") == "a<think>"


@given(st.text(alphabet="<\\/>think a", max_size=30) | WORDS)
def test_hidden_tags_come_back(text: str) -> None:
    assert "</think>" not in hide_tags(text)
    assert "<think>" not in hide_tags(text)
    assert show_tags(hide_tags(text)) == text
    assert show_first(hide_first(text)) == text
    assert not hide_first(text).startswith("<think>")


def test_ordinary_words_are_tokenised_in_one_piece() -> None:
    tokenizer, renderer = tiny_tokenizers.llama3(), make_renderer("llama3", "alpaca")
    prompt = renderer.render(make_row("A kettle <of> steel", None, "a")).prompt
    assert renderer.encode_prompt("A kettle <of> steel") == tokenizer.encode(prompt, add_special_tokens=False)


def test_a_template_with_a_date_gives_the_same_prompt_every_day() -> None:
    renderer = Renderer(CausalStudent(kind="causal", base="b", format="chat"), tiny_tokenizers.llama32())
    assert "Today Date: 26 Jul 2024\n" in renderer.render(make_row("q", None, "a")).prompt


def spoilt(chat: str | None, **names: str) -> PreTrainedTokenizerFast:
    return tiny_tokenizers.make_tokenizer(["<s>", "</s>"], [], chat, **({"eos_token": "</s>"} | names))


TURNS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize(
    ("form", "tokenizer", "sentence"),
    [
        ("chat", spoilt(None), "has no chat template: use format: alpaca or think"),
        ("chat", spoilt(TURNS.replace("</s>", "\n")), "ends an answer with no token of its own"),
        ("chat", spoilt("{{ messages[0].content }}</s>"), "leaves out or doubles a turn"),
        ("chat", spoilt(TURNS.replace("[assistant]", "Bot:")), "otherwise than its own generation prompt"),
        ("chat", spoilt("{{ raise_exception('no system') }}"), "no system .it may take no system message"),
        ("chat", spoilt("{{ messages.__class__.__mro__ }}"), "SecurityError"),
        ("chat", spoilt("{% if"), "TemplateSyntaxError"),
        ("think", tiny_tokenizers.make_tokenizer(["<s>"], [], None), "the tokenizer of b has no EOS token"),
    ],
)
def test_a_tokenizer_that_cannot_be_used(form: str, tokenizer: PreTrainedTokenizerFast, sentence: str) -> None:
    student = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": form, "instruction": "Be brief."})
    with pytest.raises(TrainingError, match=sentence):
        Renderer(student, tokenizer)


def test_a_good_template_of_ones_own() -> None:
    student = CausalStudent(kind="causal", base="b", format="chat")
    rendered = Renderer(student, spoilt(TURNS)).render(make_row("q", "t", "a"))
    assert rendered.prompt == "[user]q</s>[assistant]"
    assert rendered.completion == "<think>\nt\n</think>\n\na</s>"


def test_only_chat_has_a_place_for_a_conversation() -> None:
    row = make_row("q", None, "a", (Turn(role="user", content="b"), Turn(role="assistant", content="c")))
    with pytest.raises(TrainingError, match="format: think has no place for a conversation system - user - assistant"):
        make_renderer("llama3", "think").render(row)


def test_the_pinned_date_is_that_of_llama_3_1() -> None:
    assert finetune.rendering_chat.TODAY.strftime("%d %b %Y") in tiny_tokenizers.template("llama3_1")

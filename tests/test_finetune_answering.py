"""Answering: batches, sampling, stops, streaming and held-out losses of a tiny Llama with random weights."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from finetune.answering import Generated, GenerativeStudent, Question
from finetune.decoding import BATCH_ROWS, PREFILL_TOKENS, Decoding, batches
from finetune.response_losses import response_losses
from finetune.sampling import sample
from finetune.streaming import text_pieces, thought_pieces
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.students import Answering, CausalStudent

GREEDY = Answering(temperature=0, max_new_tokens=24)
WARM = Answering(temperature=1.5, top_p=0.9, max_new_tokens=24)


def make_student(form: str = "think", positions: int = 512, more: int = 0) -> GenerativeStudent:
    """more: rows of weights for tokens that the tokenizer does not have."""
    tokenizer = tiny_tokenizers.deepseek()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + more, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=positions, initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    student = CausalStudent.model_validate(
        {"kind": "causal", "base": "b", "format": form, "answering": {"temperature": 0, "max_new_tokens": 24}}
    )
    return GenerativeStudent(model, tokenizer, student)


@pytest.fixture(scope="module")
def student() -> GenerativeStudent:
    return make_student()


QUESTIONS = [Question("Which kettle is quiet?" + " And cheap?" * count) for count in (0, 9, 2, 2, 30, 1, 0)]


def test_greedy_answers_are_those_of_generate(student: GenerativeStudent) -> None:
    model: Any = student._model
    answers = student.answer(QUESTIONS)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        ids = torch.tensor([student.renderer.encode_prompt(question.question)])
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        new = theirs[0, ids.shape[1] :].tolist()
        assert answer.text == student.renderer.decode(new)
        assert answer.tokens == len(new)
        assert answer.stopped == (new[-1] in student.renderer.stops)
        parsed = student.renderer.parse(answer.text)
        assert (answer.reasoning, answer.response, answer.valid) == (parsed.reasoning, parsed.response, parsed.valid)


def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_neighbours(student: GenerativeStudent) -> None:
    together = student.answer(QUESTIONS, WARM, seed=7)
    assert together[0] == together[6]
    assert [student.answer([question], WARM, seed=7)[0] for question in QUESTIONS] == together
    shuffled = random.Random(1).sample(range(len(QUESTIONS)), len(QUESTIONS))
    again = student.answer([QUESTIONS[place] for place in shuffled], WARM, seed=7)
    assert again == [together[place] for place in shuffled]
    assert student.answer(QUESTIONS, WARM, seed=8) != together
    state = torch.random.get_rng_state()
    student.answer(QUESTIONS[:2], WARM)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's draws are used


def scripted(student: GenerativeStudent, script: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the model say `script(place)`, whatever it is asked; `place` is a row's in its batch."""

    class Script:
        def __init__(self, model: object, prompts: list[list[int]], *rest: object) -> None:
            self.rows, self.taken = list(range(len(prompts))), 0

        def step(self) -> list[int]:
            self.taken += 1
            return [script(row)[self.taken - 1] for row in self.rows]

        def keep(self, rows: list[int]) -> None:
            self.rows = [self.rows[place] for place in rows]

    monkeypatch.setattr("finetune.answering.Decoding", Script)


def test_answers_end_at_a_stop_or_are_cut(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, end = tiny_tokenizers.deepseek(), student.renderer.stops[0]
    whole = [*tokenizer.encode("Steel damps it.\n</think>\nThe steel one.", add_special_tokens=False), end]
    texts = [whole, [*whole[:-1], *whole], [end]]
    scripted(student, lambda row: texts[row], monkeypatch)
    answers = student.answer([Question("a" * (3 - place)) for place in range(3)], Answering(max_new_tokens=len(whole)))
    said, more = "Steel damps it.\n</think>\nThe steel one.", tokenizer.decode(whole[0])
    assert answers == [
        Generated(said, "Steel damps it.", "The steel one.", True, True, len(whole)),
        Generated(said + more, "Steel damps it.", "The steel one." + more, True, False, len(whole)),
        Generated("", None, "", False, True, 1),
    ]


def test_the_models_own_stops_count(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_student()
    other._model.generation_config.eos_token_id = [5, 7]
    other = GenerativeStudent(
        other._model, tiny_tokenizers.deepseek(), CausalStudent(kind="causal", base="b", format="think")
    )
    scripted(other, lambda row: [9, 7, 8], monkeypatch)
    answer = other.answer([Question("q")], Answering(max_new_tokens=3))[0]
    assert (answer.stopped, answer.tokens, answer.text) == (True, 2, other.renderer.decode([9]))


def test_questions_at_the_end_of_the_models_positions() -> None:
    student = make_student(positions=160)
    length = len(student.renderer.encode_prompt("x" * 80))
    assert 136 < length < 160
    answers = student.answer([Question("x" * count) for count in (0, 80, 200)])
    assert (answers[1].tokens, answers[1].stopped) == (160 - length, False)
    assert answers[2] == Generated("", None, "", False, False, 0)
    with pytest.raises(TrainingError, match=r"the question has \d+ tokens and the model takes 160"):
        list(student.stream(Question("x" * 200)))
    row = ResponseRow(id="1", split="test", group="1", question="x" * 200, response="y")
    assert student.losses([row]) == [(0.0, 0)]


def test_a_batch_that_is_too_large_is_halved(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, sizes = student.answer(QUESTIONS), []

    class Small(Decoding):
        def __init__(self, model: Any, prompts: Any, *rest: Any) -> None:
            sizes.append(len(prompts))
            if len(prompts) > 2:
                raise torch.OutOfMemoryError
            super().__init__(model, prompts, *rest)

    monkeypatch.setattr("finetune.answering.Decoding", Small)
    assert student.answer(QUESTIONS) == expected
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_a_batch_that_failed_is_gone_when_its_half_begins(
    student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, failed, alive = student.answer(QUESTIONS), [], []

    class Small(Decoding):
        def __init__(self, model: Any, prompts: Any, *rest: Any) -> None:
            alive.append([one() is not None for one in failed])
            self.size = len(prompts)
            super().__init__(model, prompts, *rest)

        def step(self) -> list[int]:
            if self.size > 2 and self._taken == 2:
                failed.append(weakref.ref(self._cache))
                raise torch.OutOfMemoryError
            return super().step()

    monkeypatch.setattr("finetune.answering.Decoding", Small)
    assert student.answer(QUESTIONS) == expected
    assert alive == [[], [False], [False] * 2, [False] * 2, [False] * 2, [False] * 3, [False] * 3]


@pytest.mark.parametrize("answering", [GREEDY, WARM])
def test_a_stream_is_the_same_answer(student: GenerativeStudent, answering: Answering) -> None:
    for question in QUESTIONS[:3]:
        pieces = list(student.stream(question, answering, seed=3))
        assert "".join(pieces) == student.answer([question], answering, seed=3)[0].text
        assert len(pieces) > 3
        assert not torch.is_inference_mode_enabled()


def test_losses_are_those_of_the_response_alone(student: GenerativeStudent) -> None:
    asked = {"id": "1", "split": "test", "group": "1", "question": "Which?"}
    rows = [
        ResponseRow.model_validate(asked | {"reasoning": "Noise. " * count, "response": "The one. é" * count})
        for count in (1, 12, 0, 3)
    ]
    model: Any = student._model
    for row, (loss, tokens) in zip(rows, student.losses(rows), strict=True):
        ids = student.renderer.encode(row).input_ids
        response = tiny_tokenizers.deepseek().encode(row.response.strip(), add_special_tokens=False)
        assert tokens == len(response) + 1
        assert ids[-tokens:] == [*response, student.renderer.stops[0]]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        expected = -sum(float(logits[place - 1, ids[place]]) for place in range(len(ids) - tokens, len(ids)))
        assert loss == pytest.approx(expected, rel=1e-5)


def test_losses_are_summed_in_chunks(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ResponseRow(
            id="1", split="test", group="1", question="Which?", reasoning="Noise.", response="The one. " * count
        )
        for count in (1, 9, 4)
    ]
    whole, seen = student.losses(rows), []
    handle = student._model.lm_head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[0]))
    monkeypatch.setattr("finetune.response_losses.CHUNK", 5)
    found = student.losses(rows)
    handle.remove()
    for (loss, tokens), (other, count) in zip(found, whole, strict=True):
        assert (loss, tokens) == (pytest.approx(other, rel=1e-5), count)
    assert max(seen) == 5
    assert sum(seen) == sum(tokens for _, tokens in whole)


def test_losses_are_halved_where_memory_runs_out(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ResponseRow(id="1", split="test", group="1", question="q" * count, reasoning="t", response="r")
        for count in (1, 9, 4)
    ]
    whole, room = student.losses(rows), [1]

    def small(model: Any, parts: Any) -> list[float]:
        if len(parts) > room[0]:
            raise torch.OutOfMemoryError
        return response_losses(model, parts)

    monkeypatch.setattr("finetune.answering.response_losses", small)
    assert [loss for loss, _ in student.losses(rows)] == pytest.approx([loss for loss, _ in whole], rel=1e-5)
    room[0] = 0
    with pytest.raises(TrainingError, match="no memory to read one row"):
        student.losses(rows)


@pytest.mark.parametrize(
    "config",
    [
        Gemma2Config(final_logit_softcapping=2.0, head_dim=8, query_pre_attn_scalar=8),
        CohereConfig(logit_scale=0.5),
        GraniteConfig(logits_scaling=4.0),
    ],
)
def test_losses_are_of_the_models_own_logits(config: Any) -> None:
    for name, size in (("vocab_size", 50), ("hidden_size", 32), ("intermediate_size", 64), ("num_hidden_layers", 2),
                       ("num_attention_heads", 4), ("num_key_value_heads", 2), ("initializer_range", 0.2)):  # fmt: skip
        setattr(config, name, size)
    config.pad_token_id = None
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for peft in (False, True):
        if peft:
            model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
        with torch.no_grad():
            logits = model(torch.tensor([[4, 9, 30, 2]])).logits[0].log_softmax(dim=-1)
        expected = -float(logits[1, 30] + logits[2, 2])
        assert response_losses(model, [([4, 9, 30, 2], 2), ([7, 4, 9, 30, 2, 5], 1)])[0] == pytest.approx(
            expected, rel=1e-5
        )


def test_memory_that_torch_keeps_is_free(student: GenerativeStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("mem_get_info", (1000, 9000)), ("memory_reserved", 5000), ("memory_allocated", 3000)):
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    monkeypatch.setattr(student, "_model", SimpleNamespace(device=torch.device("cuda", 0)))
    assert student._memory() == (1000 + 5000 - 3000) // 2


def test_what_is_no_number_is_no_answer() -> None:
    student = make_student()
    student._model.lm_head.weight.data[7] = float("nan")
    row = ResponseRow(id="1", split="test", group="1", question="q", reasoning="t", response="r")
    for ask in (lambda: student.answer([Question("q")]), lambda: student.losses([row])):
        with pytest.raises(TrainingError, match="the student's logits are no numbers in float32"):
            ask()


def test_a_conversation_is_asked_about() -> None:
    student = make_student("chat")
    history = (Turn(role="user", content="Hello"), Turn(role="assistant", content="Yes?"))
    alone, after = student.answer([Question("Which?"), Question("Which?", history)], WARM)
    assert alone.text != after.text


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 3000), max_size=400), st.integers(1, 600), st.integers(1, 60_000))
def test_batches_hold_every_prompt_once_within_the_budget(lengths: list[int], answer: int, tokens: int) -> None:
    parts = list(batches(lengths, answer, tokens))
    assert sorted(place for part in parts for place in part) == list(range(len(lengths)))
    for part in parts:
        width = max(lengths[place] for place in part)
        assert len(part) <= BATCH_ROWS
        assert len(part) == 1 or (len(part) * (width + answer) <= tokens and len(part) * width <= PREFILL_TOKENS)


def test_sampling_takes_the_token_where_the_sum_passes_the_draw() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.0, 0.3]])).repeat(6, 1)
    draws = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.9999999])
    assert sample(logits, Answering(temperature=1), draws).tolist() == [0, 0, 1, 1, 3, 3]
    # the likeliest first: 0.5, 0.3; the third begins at 0.8, which is not below top_p
    assert sample(logits, Answering(temperature=1, top_p=0.8), draws).tolist() == [1, 1, 1, 3, 3, 3]
    assert sample(logits, Answering(temperature=1, top_p=0.01), draws).tolist() == [1] * 6
    assert sample(logits, Answering(temperature=0), draws).tolist() == [1] * 6
    # temperature 0.5 squares: 0.04, 0.25, 0.09 of 0.38
    assert sample(logits, Answering(temperature=0.5), torch.tensor([0.1, 0.11, 0.76, 0.77, 0.5, 0])).tolist() == [
        0,
        1,
        1,
        3,
        1,
        0,
    ]


def test_sampled_tokens_come_as_often_as_they_should() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).repeat(20_000, 1)
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(1))
    counts = sample(logits, Answering(temperature=1), draws).bincount(minlength=4) / 20_000
    assert counts.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40), st.integers(0, 3))
def test_streamed_text_is_never_broken(text: str, cut: int) -> None:
    for tokenizer in (tiny_tokenizers.deepseek(), tiny_tokenizers.llama2()):
        ids = tokenizer.encode(text, add_special_tokens=False)
        ids = ids[: len(ids) - cut] if cut else ids
        whole = tokenizer.decode(ids)
        pieces = list(text_pieces(ids, tokenizer.decode))
        assert all(pieces)
        if "\ufffd" not in whole or tokenizer is tiny_tokenizers.deepseek():
            assert "".join(pieces) == whole
        if "\ufffd" not in text:
            assert not any("\ufffd" in piece for piece in pieces[:-1])


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("Why?\n\nSo.\n</think>\n\nSo.", True, "Why?\n\nSo.", "So."),
        ("<think>\nWhy? </thin\n</think>\nSo </think> <think>.", False, "Why? </thin", "So </think> <think>."),
        ("The <think> one", False, "", "The <think> one"),
        ("never done </thi", True, "never done </thi", ""),
        ("<thi", False, "", "<thi"),
        ("", True, "", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_thought_and_answer_are_told_apart_as_they_come(
    text: str, opened: bool, thought: str, answer: str, size: int
) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    parts = list(thought_pieces(pieces, opened))
    assert "".join(part for is_thought, part in parts if is_thought) == thought
    assert "".join(part for is_thought, part in parts if not is_thought) == answer

"""What stands around the turns of a student's conversations is what it was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_tokenizers
from transformers import PreTrainedTokenizerFast

from finetune.formats import Renderer
from finetune.record import StudentRecord
from finetune.taken import take, turns_of
from finetune.turns_jinja import jinja_template
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.runs import RunFolder
from recipes.students import CausalStudent

TOKENIZERS = [tiny_tokenizers.llama3, tiny_tokenizers.llama32, tiny_tokenizers.deepseek, tiny_tokenizers.qwen]


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize("form", ["alpaca", "think", "chat"])
@pytest.mark.parametrize("told", [None, 'Say "so" to {{ them }}.\nÉ \\ %}'])
def test_turns_ask_as_the_student_was_trained(make: Any, form: str, told: str | None) -> None:
    tokenizer: PreTrainedTokenizerFast = make()
    student = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": form, "instruction": told})
    renderer = Renderer(student, tokenizer)
    turns, bos = turns_of(form, renderer, tokenizer), tokenizer.bos_token or ""
    history: tuple[Turn, ...] = ()
    messages = [{"role": "system", "content": told}] if told and form == "chat" else []
    if form == "chat":
        history = (Turn(role="user", content="Hello"), Turn(role="assistant", content="Yes?"))
        messages += [{"role": turn.role, "content": turn.content} for turn in history]
    messages.append({"role": "user", "content": "Which one?"})
    row = ResponseRow(id="", split="test", group="", question="Which one?", response="", history=history)
    prompt = renderer.render(row).prompt
    assert bos + turns.render(messages) == prompt
    theirs = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, chat_template=jinja_template(turns)
    )
    assert theirs == prompt


def test_a_classifier_is_whole_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.taken.read_any_record", lambda *_: StudentRecord.model_construct(best_seed=7))
    with pytest.raises(TrainingError, match=r"students\.a is a classifier: r/students/a/seed-7 is a whole model"):
        take(tiny.make_recipe(Path("b"), a={}), RunFolder(Path("r")), "a")

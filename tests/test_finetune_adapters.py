"""What is saved of a trained generative student, for others to open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_causal
from transformers import AutoModelForCausalLM

from finetune.adapters import save_student
from finetune.bases import Base
from finetune.course import CausalCourse
from finetune.hardware import find_machine
from finetune.scratch import make_model, make_tokenizer


def test_a_whole_chat_model_stops_at_the_end_of_its_turn_and_at_eos(tmp_path: Path) -> None:
    student = tiny_causal.make_recipe(a={"format": "chat"}).causal("a")
    tokenizer = make_tokenizer(student, [tiny_causal.make_row(number, "train") for number in range(8)])
    none: Any = None
    course = CausalCourse(
        "a", student, 1, Base("scratch", "scratch", None, None), tokenizer, none, none, find_machine("fp32"), "", "a"
    )  # fmt: skip
    save_student(make_model(student, tokenizer, 1), course, tmp_path)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path).generation_config.eos_token_id
    assert tokenizer.convert_ids_to_tokens(saved) == ["<|turn_end|>", "<|end|>"]

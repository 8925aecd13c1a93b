"""A student taken away is the student: merged or as GGUF, it is asked as it was trained, and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import tiny_tokenizers
import tiny_trained
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from finetune.__main__ import main
from finetune.answering import GenerativeStudent, Question
from finetune.export import turns_of
from finetune.formats import open_renderer
from finetune.student import open_student
from finetune.turns_jinja import jinja_template
from recipes.errors import TrainingError
from recipes.rows import ResponseRow, Turn
from recipes.runs import RunFolder
from recipes.students import Answering, CausalStudent

TOKENIZERS = [tiny_tokenizers.llama3, tiny_tokenizers.llama32, tiny_tokenizers.deepseek, tiny_tokenizers.qwen]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_trained.train(tiny_trained.write_recipe(tmp_path_factory.mktemp("recipe")))


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize("form", ["alpaca", "think", "chat"])
@pytest.mark.parametrize("told", [None, 'Say "so" to {{ them }}.\nÉ \\ %}'])
def test_turns_ask_as_the_student_was_trained(make: Any, form: str, told: str | None) -> None:
    tokenizer: PreTrainedTokenizerFast = make()
    student = CausalStudent.model_validate({"kind": "causal", "base": "b", "format": form, "instruction": told})
    renderer = open_renderer(student, tokenizer)
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


def test_a_merged_student_is_asked_and_answers_alike(trained: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", *trained]) == 0
    told = capsys.readouterr().err
    assert "comparing 1 copy with it on the CPU" in told and "--no-parity leaves it out" in told
    assert "logits within 0.0" in told
    run = RunFolder(Path(trained[2]))
    folder = run.student("thinker") / "merged"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "red kettle"}], add_generation_prompt=True)
    student = open_student(run, "thinker")
    assert isinstance(student, GenerativeStudent)
    assert ids["input_ids"] == student.renderer.encode_prompt("red kettle")
    assert model.generation_config.eos_token_id == list(student.renderer.stops)
    assert model.generation_config.max_new_tokens == 20
    how = model.generation_config
    assert (how.do_sample, how.temperature, how.top_p, how.top_k) == (True, 0.9, 0.8, 0)  # transformers' own: 50
    said = model.generate(torch.tensor([ids["input_ids"]]), do_sample=False, temperature=None, top_p=None)
    answer = student.answer([Question("red kettle")], Answering(temperature=0, max_new_tokens=20))[0]
    assert student.renderer.decode(said[0, len(ids["input_ids"]) :].tolist()) == answer.text
    figures = json.loads((folder / "parity.json").read_bytes())["safetensors"]
    assert figures["relative"] < 0.005
    assert (folder / "README.md").exists()

    weights = (folder / "model.safetensors").stat().st_mtime_ns
    assert main(["merge", *trained, "--no-parity"]) == 0
    assert "merged before" in capsys.readouterr().err
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    assert main(["export", *trained, "--to", "safetensors", "--dtype", "bf16", "--no-parity"]) == 0
    assert json.loads((folder / "config.json").read_bytes())["dtype"] == "bfloat16"


def test_gguf_files_and_their_modelfile(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *trained, "--quantize", "f16,q8_0", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert f"cd {tmp_path} && ollama create tiny-thinker -f Modelfile" in told.err
    assert told.out == ""
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["Modelfile", "parity.json", "tiny-thinker-f16.gguf", "tiny-thinker-q8_0.gguf"]
    figures = json.loads((tmp_path / "parity.json").read_bytes())
    assert figures["tiny-thinker-f16.gguf"]["relative"] < 1e-3
    assert figures["tiny-thinker-q8_0.gguf"]["relative"] < 0.05
    text = (tmp_path / "Modelfile").read_text(encoding="utf-8")
    assert "FROM ./tiny-thinker-f16.gguf\n" in text
    assert 'PARAMETER stop "<|end|>"\n' in text
    assert "PARAMETER num_ctx 256\n" in text
    assert "PARAMETER top_p 0.8\nPARAMETER top_k 0\n" in text
    template = gguf.GGUFReader(tmp_path / "tiny-thinker-f16.gguf").fields["tokenizer.chat_template"].contents()
    assert template == (Path(trained[2]) / "students/thinker/merged/chat_template.jinja").read_text(encoding="utf-8")


def test_a_whole_model_needs_no_merging(trained: list[str]) -> None:
    with pytest.raises(TrainingError, match=r"the student plain has no adapter: .* is the whole model"):
        main(["merge", *trained, "--student", "plain"])
    assert main(["export", *trained, "--student", "plain", "--quantize", "f16"]) == 0
    folder = Path(trained[2]) / "students" / "plain" / "gguf"
    assert json.loads((folder / "parity.json").read_bytes())["tiny-plain-f16.gguf"]["relative"] < 1e-3
    assert "Describe it." in (folder / "Modelfile").read_text(encoding="utf-8")


def test_what_cannot_be_exported(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", *trained, "--quantize", "q4_k"])
    assert "'q4_k' is not one of f16, q8_0, q4_0" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="the student thinker is not trained yet"):
        main(["merge", trained[0], "--run", str(tmp_path)])
    with pytest.raises(TrainingError, match="has no seed 5; it was trained with 3407"):
        main(["merge", *trained, "--seed", "5"])

"""A student taken away is the student: merged or as GGUF, it is asked as it was trained, and says the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import eval_runs
import gguf
import pytest
import tiny_trained
import torch
from huggingface_hub import EvalResult, ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune import merged
from finetune.__main__ import main
from finetune.answering import GenerativeStudent, Question
from finetune.merge import Merged, TooLargeError, merge_adapter
from finetune.student import open_student
from recipes.errors import RunError, TrainingError
from recipes.load import load_recipe
from recipes.runs import RunFolder
from recipes.students import Answering

QUICKSTART = str(Path(__file__).parent.parent / "recipes" / "quickstart.yaml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_trained.train(tiny_trained.write_recipe(tmp_path_factory.mktemp("recipe")))


@pytest.fixture()
def mine(trained: list[str], tmp_path: Path) -> list[str]:
    """The two students in a run folder of the test's own."""
    shutil.copytree(trained[2], tmp_path / "run", ignore=shutil.ignore_patterns("merged", "gguf"))
    return [trained[0], "--run", str(tmp_path / "run")]


def head_of(card: Path) -> dict[str, Any]:
    found: dict[str, Any] = ModelCard.load(card).data.to_dict()
    return found


def sections(card: Path) -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", card.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_a_merged_student_is_asked_and_answers_alike(trained: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", *trained]) == 0
    told = capsys.readouterr().err
    assert "comparing merged with the student on the CPU" in told and "--no-parity leaves it out" in told
    assert "merged: the same most likely token as the student at all " in told and ", logits within 0.0" in told
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


def test_what_is_there_is_not_made_or_measured_again(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(mine[2]) / "students" / "thinker" / "merged"
    assert main(["merge", *mine]) == 0
    weights = (folder / "model.safetensors").stat().st_mtime_ns
    first = capsys.readouterr().err
    assert f"merging adapter and base into {folder}, float16" in first
    assert main(["merge", *mine]) == 0
    again = capsys.readouterr().err
    assert "merged before" in again and "comparing" not in again
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    assert next(line for line in first.splitlines() if line.startswith("merged: ")) in again.splitlines()
    assert main(["export", *mine, "--to", "safetensors", "--dtype", "bf16"]) == 0
    assert "comparing merged with" in capsys.readouterr().err, "it is another model now"
    assert json.loads((folder / "config.json").read_bytes())["dtype"] == "bfloat16"
    assert main(["merge", *mine, "--no-parity"]) == 0
    assert json.loads((folder / "config.json").read_bytes())["dtype"] == "float16"
    assert json.loads((folder / "parity.json").read_bytes()) == {}, "figures of what is no longer there"
    assert "## Parity" not in (folder / "README.md").read_text(encoding="utf-8")


def test_what_ended_the_bases_answers_ends_the_merged_ones_too(mine: list[str]) -> None:
    base = Path(mine[2]) / "students" / "plain" / "seed-3407" / "generation_config.json"
    how = json.loads(base.read_bytes())
    assert how["eos_token_id"] == [1]
    base.write_text(json.dumps(how | {"eos_token_id": [7, 1]}), encoding="utf-8")
    assert main(["merge", *mine, "--no-parity"]) == 0
    merged_ = Path(mine[2]) / "students" / "thinker" / "merged" / "generation_config.json"
    assert json.loads(merged_.read_bytes())["eos_token_id"] == [1, 7]


def test_gguf_files_are_measured_once(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *mine, "--quantize", "f16"]) == 0
    assert "comparing merged, tiny-thinker-f16.gguf with" in capsys.readouterr().err
    assert main(["export", *mine, "--quantize", "f16,q8_0"]) == 0
    told = capsys.readouterr().err
    assert "comparing tiny-thinker-q8_0.gguf with" in told
    assert "tiny-thinker-f16.gguf: the same most likely token" in told


def test_a_merged_model_has_a_card_of_its_own(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    own = Path(mine[2]) / "students" / "thinker" / "seed-3407" / "README.md"
    scores = "<!-- scores: written by python -m eval -->\n\n## Scores\n\nROUGE-L 12\n\n<!-- end of scores -->\n"
    model_card = ModelCard(own.read_text(encoding="utf-8") + "\n" + scores)
    model_card.data.eval_results = [EvalResult("text-generation", "tiny", "tiny", "rouge", 0.12)]
    model_card.data.model_name = "tiny-thinker"
    model_card.save(own)
    assert main(["merge", *mine]) == 0
    folder = Path(mine[2]) / "students" / "thinker" / "merged"
    card = folder / "README.md"
    assert head_of(card) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["tutelage", "distillation"],
        "model-index": head_of(own)["model-index"],
    }  # fmt: skip
    text = card.read_text(encoding="utf-8")
    assert "An adapter for" not in text and "peft" not in text
    assert "the adapter of `tiny-thinker` merged into its base `students.plain`, in float16." in text
    ours, his = sections(card), sections(own)
    assert {name: ours[name] for name in ("Data", "Training", "Scores")} == {
        name: his[name] for name in ("Data", "Training", "Scores")
    }
    assert "the same most likely token as the student at all" in ours["Parity"]
    code = ours["Use"].split("```")[1].removeprefix("python\n").replace("path/to/this/folder", str(folder))
    said: dict[str, Any] = {}
    exec(code, said)
    assert said["answer"][0]["generated_text"] + "\n" == capsys.readouterr().out
    assert main(["merge", *mine]) == 0
    assert card.read_text(encoding="utf-8") == text, "written again, it is the same"
    assert main(["export", *mine, "--no-parity"]) == 0
    packed = folder.parent / "gguf" / "README.md"
    assert set(head_of(packed)) == {"library_name", "pipeline_tag", "tags"}, "no score was measured of the copy"
    assert sections(packed)["Scores"] == his["Scores"]


def test_cards_say_what_the_hub_is_to_know(mine: list[str]) -> None:
    home = Path(mine[2]) / "students" / "thinker"
    under = home.with_name("plain") / "student.json"
    under.write_text(under.read_text(encoding="utf-8").replace('"scratch"', '"org/base"', 1), encoding="utf-8")
    (home / "seed-3407" / "README.md").write_text("---\n[: no YAML\n---\n", encoding="utf-8")  # it is made anew
    pushed = ["--set", "students.thinker.push_to_hub=me/thinker"]
    assert main(["export", *mine, *pushed, "--quantize", "f16", "--no-parity"]) == 0
    for card, library in ((home / "merged" / "README.md", "transformers"), (home / "gguf" / "README.md", "gguf")):
        head = head_of(card)
        assert (head["library_name"], head["base_model"], head["base_model_relation"]) == (
            library, "org/base", "finetune",
        )  # fmt: skip
    RunFolder(Path(mine[2])).finish("push-thinker", {}, [], {})
    assert main(["export", *mine, *pushed, "--quantize", "f16", "--no-parity"]) == 0
    head = head_of(home / "gguf" / "README.md")
    assert (head["base_model"], head["base_model_relation"]) == ("me/thinker", "quantized")
    assert {"gguf", "ollama"} <= set(head["tags"]) and "lora" not in head["tags"]


def test_gguf_files_and_their_modelfile(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *trained, "--quantize", "f16,q8_0", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert f"cd {tmp_path} && ollama create tiny-thinker -f Modelfile" in told.err
    assert told.out == ""
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["Modelfile", "README.md", "parity.json", "tiny-thinker-f16.gguf", "tiny-thinker-q8_0.gguf"]
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
    card = sections(tmp_path / "README.md")
    assert "ollama create tiny-thinker -f Modelfile" in card["Use"] and "pipeline" not in card["Use"]
    assert "- `tiny-thinker-q8_0.gguf`: the same most likely token as the student at " in card["Parity"]


def test_a_whole_model_needs_no_merging(mine: list[str]) -> None:
    with pytest.raises(TrainingError, match=r"the student plain has no adapter: .* is the whole model"):
        main(["merge", *mine, "--student", "plain"])
    assert main(["export", *mine, "--student", "plain", "--quantize", "f16"]) == 0
    folder = Path(mine[2]) / "students" / "plain" / "gguf"
    assert json.loads((folder / "parity.json").read_bytes())["tiny-plain-f16.gguf"]["relative"] < 1e-3
    assert "Describe it." in (folder / "Modelfile").read_text(encoding="utf-8")
    assert "`tiny-plain` as GGUF" in (folder / "README.md").read_text(encoding="utf-8")


def test_an_answer_of_a_chat_ends_where_its_turn_does(mine: list[str]) -> None:
    home = Path(mine[2]) / "students" / "plain"
    record = json.loads((home / "student.json").read_bytes()) | {"format": "chat"}
    (home / "student.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["export", *mine, "--student", "plain", "--quantize", "f16", "--no-parity"]) == 0
    fields = gguf.GGUFReader(home / "gguf" / "tiny-plain-f16.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    ends = [tokens[fields[f"tokenizer.ggml.{name}_token_id"].contents()] for name in ("eot", "eos")]
    assert ends == ["<|turn_end|>", "<|end|>"]
    stops = re.findall(r'^PARAMETER stop "(.*)"$', (home / "gguf" / "Modelfile").read_text("utf-8"), re.MULTILINE)
    assert stops == ends


def test_a_weight_beyond_float16_makes_it_bfloat16(
    mine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []

    def refuse(base: str, adapter: Path, out: Path, dtype: Any, *rest: Any, **options: Any) -> Merged:
        tried.append(dtype)
        if dtype == "float16":
            raise TooLargeError("w has values that float16 cannot hold: merge to bfloat16 or float32")
        return merge_adapter(base, adapter, out, dtype, *rest, **options)

    monkeypatch.setattr(merged, "merge_adapter", refuse)
    assert main(["merge", *mine, "--no-parity"]) == 0
    assert tried == ["float16", "bfloat16"] and "it is merged to bfloat16" in capsys.readouterr().err
    assert main(["merge", *mine, "--no-parity"]) == 0
    assert len(tried) == 2, "nothing changed"
    with pytest.raises(TooLargeError):
        main(["merge", *mine, "--no-parity", "--dtype", "fp16"])


def test_a_student_that_is_not_what_the_recipe_says_is_said_to_be_one(
    mine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ["--set", "students.thinker.learning_rate=1"]
    assert main(["merge", *mine, *changed, "--no-parity"]) == 0
    told = capsys.readouterr().err
    assert "student thinker: used as it was trained; since then student changed: `python -m finetune " in told
    assert "--set students.thinker.learning_rate=1 --run" in told and "--student thinker` trains it again" in told
    for command in (["export", "--quantize", "f16", "--no-parity"], ["ask", "q"]):
        (name, *rest), first = command, mine[0]
        assert main([name, first, *rest, *mine[1:], *changed]) in (0, 1)  # 1: such a model gives no answer
        assert "since then student changed" in capsys.readouterr().err
    main(["ask", mine[0], "q", *mine[1:], "--set", "students.thinker.answering.temperature=0"])
    assert "since then" not in capsys.readouterr().err, "how it answers is asked for here"
    (Path(mine[2]) / "manifests" / "student-thinker.json").unlink()
    main(["ask", mine[0], "q", *mine[1:]])
    assert "since then its last training did not end" in capsys.readouterr().err


def test_others_may_read_what_was_trained(trained: list[str]) -> None:
    mask = os.umask(0)
    os.umask(mask)
    for path in (Path(trained[2]) / "students").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o666 & ~mask, path


def test_what_cannot_be_exported(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--quantize", "q4_k"], "'q4_k' is not one of f16, q8_0, q4_0"),
        (["--to", "safetensors", "--quantize", "q8_0"], "--quantize is of GGUF files: safetensors are not quantised"),
        (["--dtype", "bf16"], "--dtype is of safetensors: for GGUF files use --quantize"),
    ):
        with pytest.raises(SystemExit):
            main(["export", *trained, *arguments])
        assert said in capsys.readouterr().err
    with pytest.raises(TrainingError, match="the student thinker is not trained yet"):
        main(["merge", trained[0], "--run", str(tmp_path)])
    with pytest.raises(TrainingError, match="has no seed 5; it was trained with 3407"):
        main(["merge", *trained, "--seed", "5"])


def test_what_was_lost_of_a_run_is_said(mine: list[str]) -> None:
    students, rows = Path(mine[2]) / "students", Path(mine[2]) / "rows"
    rows.rename(rows.with_name("elsewhere"))
    for command in (["merge", *mine], ["export", *mine, "--student", "plain"]):
        with pytest.raises(RunError, match=r"train\.jsonl is missing: .*, or leave the comparison out: --no-parity"):
            main(command)
    assert not (students / "thinker" / "merged").exists(), "it is said before anything is written"
    assert main(["merge", *mine, "--no-parity"]) == 0
    (students / "thinker" / "seed-3407" / "tokenizer.json").write_text("{", encoding="utf-8")
    for command in (["merge", *mine], ["ask", mine[0], "q", *mine[1:]]):
        with pytest.raises(
            TrainingError, match=r"the tokenizer of the student in .* is missing or damaged: train it again"
        ):
            main(command)


@pytest.mark.parametrize("command", [["merge"], ["export", "--quantize", "f16"]])
def test_an_export_goes_to_a_folder_of_its_own(command: list[str], mine: list[str], tmp_path: Path) -> None:
    def to(out: Path) -> None:
        main([command[0], *mine, *command[1:], "--no-parity", "--out", str(out)])

    own = Path(mine[2]) / "students" / "plain" / "seed-3407"
    before = {path.name: path.stat().st_mtime_ns for path in own.iterdir()}
    for inside in (own, own / "deeper"):
        with pytest.raises(TrainingError, match=f"--out: {inside} would put an export into the model folder {own}"):
            to(inside)
    with pytest.raises(
        TrainingError, match=r"--out: .* holds other files \(\.lock and \d+ more\): name a new or an empty"
    ):
        to(Path(mine[2]))
    assert {path.name: path.stat().st_mtime_ns for path in own.iterdir()} == before
    with pytest.raises(TrainingError, match=r"tiny\.yaml is a file: name a folder"):
        to(Path(mine[0]))
    to(tmp_path / "new")
    to(tmp_path / "new")  # it is known again
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "Modelfile").write_text("FROM ./x.gguf\n")
    with pytest.raises(TrainingError, match=r"holds other files \(Modelfile\)"):
        to(tmp_path / "other")


def test_what_an_earlier_export_left_is_listed(mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(mine[2]) / "students" / "thinker" / "gguf"
    assert main(["export", *mine, "--no-parity", "--quantize", "f16,q8_0"]) == 0
    assert "earlier export" not in capsys.readouterr().err
    (folder / "tiny-thinker-more-f16.gguf").write_bytes(b"another's")
    assert main(["export", *mine, "--no-parity", "--quantize", "f16"]) == 0
    assert "tiny-thinker-q8_0.gguf: of an earlier export, and not made anew" in capsys.readouterr().err
    use = sections(folder / "README.md")["Use"].splitlines()
    assert re.fullmatch(r"- `tiny-thinker-f16\.gguf`: [\d.]+ MB", use[0])
    assert re.fullmatch(r"- `tiny-thinker-q8_0\.gguf`: [\d.]+ MB, of an earlier export", use[1])
    assert "more" not in "".join(use)


def test_an_export_elsewhere_leaves_the_runs_own_card_alone(mine: list[str], tmp_path: Path) -> None:
    card = Path(mine[2]) / "students" / "thinker" / "merged" / "README.md"
    elsewhere = ["export", *mine, "--no-parity", "--quantize", "f16", "--out", str(tmp_path / "new")]
    assert main(elsewhere) == 0
    assert "merged into its base" in card.read_text(encoding="utf-8"), "the merged model is new, and has a card"
    card.write_text("a person's own words", encoding="utf-8")
    assert main(elsewhere) == 0
    assert card.read_text(encoding="utf-8") == "a person's own words"


@pytest.mark.parametrize("command", ["merge", "export"])
def test_a_classifier_is_refused_before_anything_is_loaded(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eval_runs.make_student(RunFolder(tmp_path), "minilm", recipe=load_recipe(QUICKSTART))
    for module in ("finetune.merged", "finetune.gguf_folder"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TrainingError, match=r"students\.minilm is a classifier: .*seed-2 is a whole model"):
        main([command, QUICKSTART, "--student", "minilm", "--run", str(tmp_path)])

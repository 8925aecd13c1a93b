"""Answering: in which precision, what is no answer, and what is said when memory or a package is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
import transformers
from safetensors.torch import load_file, save_file

from finetune import student as answering
from finetune.hardware import Machine
from finetune.record import SeedRecord, StudentRecord, write_record
from finetune.student import load_student, open_student
from recipes.errors import TrainingError
from recipes.runs import RunFolder

FP32, FP16 = Machine("cpu", "fp32", "a CPU in fp32"), Machine("cpu", "fp16", "a CPU in fp16")
TEXTS = ["great", "awful day", "the train"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose head holds a weight beyond fp16's largest number, 65,504."""
    folder = tiny.make_base(tmp_path_factory.mktemp("model"))
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=3)
    whole = transformers.BertForSequenceClassification(config)
    whole.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][0, 0] = 1e5
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def trained_in(precision: str, model: Path, folder: Path) -> RunFolder:
    """A run whose student `a` was trained with this setting of precision."""
    run = RunFolder(folder)
    seed = SeedRecord(
        fingerprint="f", seed=7, best_epoch=1, macro_f1=0.5, accuracy=0.5, steps=1, seconds=1, device="cpu",
        precision="fp32", truncated=0, epochs=[], losses=[],
    )  # fmt: skip
    record = StudentRecord(
        name="a", kind="classifier", base="b", labels=["x", "y"], max_length=8, rows={"train": 1, "validation": 1},
        skipped={}, truncated=0, human_labels=0, best_seed=7, macro_f1=0.5, deviation=None, seconds=1, device="CPU",
        hyperparameters={"precision": precision}, seeds={7: seed},
    )  # fmt: skip
    write_record(run.student("a") / "student.json", record)
    shutil.copytree(model, run.student("a", 7))
    return run


@pytest.mark.parametrize(("trained", "answers"), [("fp32", "fp32"), ("auto", "bf16"), ("bf16", "bf16")])
def test_what_was_trained_in_fp32_answers_in_it(
    trained: str, answers: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.machine._quickest", lambda device: "bf16")
    assert open_student(trained_in(trained, model, tmp_path), "a").machine.precision == answers


def test_an_answer_that_is_no_number_is_not_the_first_label(model: Path) -> None:
    assert load_student(model, 8, FP32).predict(TEXTS).sum(axis=1) == pytest.approx(1.0)
    with pytest.raises(TrainingError, match=r"no numbers in fp16 for 3 of 3 texts, first 'great': .*precision: fp32"):
        load_student(model, 8, FP16).predict(TEXTS)


def test_texts_that_are_cut_are_counted(model: Path) -> None:
    student = load_student(model, 8, FP32)
    student.predict(["warm " * 6, "warm " * 7, "warm " * 9])
    assert student.cut == 2
    student.predict(["warm"])
    assert student.cut == 0


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_one_sentence(
    error: Exception, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    student = load_student(model, 8, FP32)

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transformers.BertForSequenceClassification, "forward", full)
    with pytest.raises(TrainingError, match="out of memory on the cpu while answering 3 texts of up to 8 tokens"):
        student.predict(TEXTS)
    monkeypatch.setattr(transformers.AutoModelForSequenceClassification, "from_pretrained", full)
    with pytest.raises(TrainingError, match="out of memory while opening"):
        load_student(model, 8, FP32)


def test_what_cannot_be_opened_says_why(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(model, folder)
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"cannot be opened \(.*\): train it again"):
        load_student(folder, 8, FP32)

    def missing(*_: object, **__: object) -> None:
        raise ImportError("requires the sentencepiece library, hf_secretsecretsecret123")

    monkeypatch.setattr(answering, "quiet", missing)
    with pytest.raises(
        TrainingError, match=r"needs a package that is not installed: .* sentencepiece library, \[key\]"
    ):
        load_student(model, 8, FP32)

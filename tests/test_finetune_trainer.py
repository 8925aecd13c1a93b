"""The training loop of a classifier: its order, its batches, and what can stop it from outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors import SafetensorError

from finetune import classifier, classifier_trainer
from finetune.checkpoints import Checkpoints
from finetune.encoding import grouped_order
from finetune.record import read_record
from finetune.train import train_student
from recipes.errors import TrainingError, TutelageError


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base"))


def test_weights_that_the_last_step_spoils_are_not_saved(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=0)
    real = classifier.ClassifierTrainer.training_step

    def spoil(self: classifier.ClassifierTrainer, model: torch.nn.Module, *args: object) -> object:
        loss = real(self, model, *args)  # type: ignore[arg-type, no-untyped-call]
        if self.state.global_step == 1:
            next(model.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]
        return loss

    monkeypatch.setattr(classifier.ClassifierTrainer, "training_step", spoil)
    with pytest.raises(TrainingError, match="the weights are no numbers at the end of training: lower learning_rate"):
        train_student(tiny.make_recipe(base, a={"epochs": 1, "precision": "fp32"}), "a", run)
    assert not run.student("a", 42).exists()


@pytest.mark.parametrize(
    ("place", "error", "sentence"),
    [
        ("transformers.Trainer.__init__", RuntimeError("CUDA error: out of memory"), "out of memory on the cpu with"),
        ("torch.optim.AdamW.step", RuntimeError("can't allocate memory"), "with batch_size 8 and max_length 32"),
        ("transformers.PreTrainedModel.save_pretrained", SafetensorError("No space left"), "or the model cannot be"),
    ],
)
def test_what_stops_it_before_and_after_the_steps_is_one_sentence(
    place: str, error: Exception, sentence: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place, stop)
    run = tiny.make_run(tmp_path, train=8, validation=0)
    with pytest.raises(TutelageError, match=sentence):
        train_student(tiny.make_recipe(base, a={"epochs": 1}), "a", run)


def test_a_checkpoint_made_in_fp16_goes_on_without_a_scaler(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.make_run(tmp_path, train=16, validation=0)
    recipe = tiny.make_recipe(base, a={"epochs": 3})
    seal = Checkpoints.seal

    def sealed_in_fp16(self: Checkpoints, step: int) -> None:
        scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
        torch.save(scaler | {"_growth_tracker": 0}, self.path(step) / "scaler.pt")
        seal(self, step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "seal", sealed_in_fp16)
        with pytest.raises(KeyboardInterrupt):
            train_student(recipe, "a", run)
    train_student(recipe, "a", run)
    said = capsys.readouterr().err
    assert "going on from step 2" in said
    assert "begun in fp16, goes on in " in said
    assert read_record(run, "a").seeds[42].steps == 6


def test_a_base_that_hands_out_its_hidden_states_is_validated_by_its_logits(base: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    shutil.copytree(base, told)
    config = json.loads((told / "config.json").read_text(encoding="utf-8"))
    (told / "config.json").write_text(json.dumps(config | {"output_hidden_states": True}), encoding="utf-8")
    run = tiny.make_run(tmp_path / "run", train=16, validation=12)
    train_student(tiny.make_recipe(told, a={"epochs": 1}), "a", run)
    assert read_record(run, "a").macro_f1 is not None


def test_epochs_visit_the_rows_in_grouped_order_each_its_own(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.make_run(tmp_path, train=40, validation=0)
    seen: list[int] = []
    lengths: list[int] = []
    real = classifier.ClassifierTrainer.compute_loss

    def watched(
        self: classifier.ClassifierTrainer, model: object, inputs: dict[str, torch.Tensor], **k: object
    ) -> object:
        seen.extend(inputs["places"].tolist())
        lengths[:] = self.lengths
        return real(self, model, inputs, **k)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier.ClassifierTrainer, "compute_loss", watched)
    train_student(tiny.make_recipe(base, a={"epochs": 2}), "a", run)
    assert seen == grouped_order(lengths, 8, 42, 0) + grouped_order(lengths, 8, 42, 1)
    assert seen[:40] != seen[40:]


def test_long_validation_rows_come_fewer_at_once(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifier_trainer.BATCH_TOKENS, "cpu", 100)
    run = tiny.make_run(tmp_path, train=8, validation=12)
    rows: list[int] = []
    real = classifier.ClassifierTrainer.compute_loss

    def watched(self: classifier.ClassifierTrainer, model: Any, inputs: dict[str, torch.Tensor], **k: object) -> object:
        rows.extend([] if model.training else [inputs["input_ids"].numel()])
        return real(self, model, inputs, **k)  # type: ignore[arg-type]

    monkeypatch.setattr(classifier.ClassifierTrainer, "compute_loss", watched)
    train_student(tiny.make_recipe(base, a={"epochs": 1}), "a", run)
    assert len(rows) > 1
    assert max(rows) <= 100 + 8 * 8

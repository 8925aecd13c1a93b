"""report_to: where the losses go, with packages in place of the trackers' own that write down what they are told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_causal
from transformers.integrations import integration_utils

from finetune.causal_record import read_causal_record
from finetune.train import train_student
from recipes.errors import TrainingError
from recipes.runs import RunFolder

TENSORBOARDX = """
import json, pathlib

class SummaryWriter:
    def __init__(self, log_dir):
        self.folder = pathlib.Path(log_dir)
        self.folder.mkdir(parents=True)
        self.scalars = []
    def add_text(self, name, text, step=None):
        pass
    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))
    def flush(self):
        (self.folder / "events.json").write_text(json.dumps(self.scalars))
    def close(self):
        self.flush()
"""
WANDB = """
class Error(Exception):
    pass

RUNS, config, run, fails = [], {}, None, False

class Run:
    def __init__(self, **options):
        self.options, self.logged, self.ended, self.summary, self.name = options, [], False, {}, options["name"]
        RUNS.append(self)
    def _label(self, code):
        pass
    def finish(self):
        global run
        self.ended, run = True, None

class Config(dict):
    def update(self, values, allow_val_change=False):
        super().update(values)

def init(**options):
    global run, config
    if fails:
        raise Error("No API key configured")
    run, config = Run(**options), Config()
    return run

def log(values):
    run.logged.append(values)
"""


def package(folder: Path, patch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """A package on the path."""
    (folder / name / "sdk" / "lib").mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source, encoding="utf-8")
    (folder / name / "sdk" / "lib" / "config_util.py").write_text(
        "ConfigError = Exception", encoding="utf-8"
    )  # wandb's
    patch.syspath_prepend(str(folder))
    for module in [one for one in sys.modules if one.split(".")[0] == name]:
        patch.delitem(sys.modules, module)


def trained(folder: Path, tracker: str, **student: Any) -> RunFolder:
    """A run with two seeds of a student that reports to a tracker."""
    run = tiny_causal.make_run(folder / "my-run", train=16, validation=4)
    small = {"report_to": [tracker], "seeds": [1, 2], "epochs": 1, "rows": "description"}
    train_student(tiny_causal.make_recipe(a=small | student), "a", run)
    return run


def test_tensorboard_files_are_kept_beside_the_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "packages", monkeypatch, "tensorboardX", TENSORBOARDX)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    run = trained(tmp_path, "tensorboard")
    record = read_causal_record(run, "a")
    for number, seed in record.seeds.items():
        told = json.loads((run.student("a") / "logs" / f"seed-{number}" / "events.json").read_text(encoding="utf-8"))
        assert [value for name, value, _ in told if name == "train/loss"] == pytest.approx(seed.losses, abs=1e-4)
        assert [(value, step) for name, value, step in told if name == "eval/loss"] == [
            (pytest.approx(one.loss), one.step) for one in seed.validations
        ]


def test_each_seed_is_a_run_of_its_own_in_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path / "packages", monkeypatch, "wandb", WANDB)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    run = trained(tmp_path, "wandb")
    first, second = sys.modules["wandb"].RUNS
    for number, told in ((1, first), (2, second)):
        folder = run.student("a") / "logs" / f"seed-{number}"
        assert told.options == {"project": "my-run", "name": f"a-seed-{number}", "dir": str(folder)}
        assert folder.is_dir()
        assert told.ended
        losses = [values["train/loss"] for values in told.logged if "train/loss" in values]
        assert losses == pytest.approx(read_causal_record(run, "a").seeds[number].losses, abs=1e-4)
    sys.modules["wandb"].fails = True
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    with pytest.raises(TrainingError, match=r"wandb cannot begin \(No API key configured\): run wandb login, or"):
        trained(tmp_path / "again", "wandb")


def test_a_run_that_the_user_has_begun_is_written_to_and_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path / "packages", monkeypatch, "wandb", WANDB)
    import wandb  # type: ignore[import-not-found]

    mine = wandb.init(name="mine")
    trained(tmp_path, "wandb", seeds=[1])
    assert len(wandb.RUNS) == 1
    assert not mine.ended
    assert any("eval/loss" in values for values in mine.logged)


def test_trackio_is_told_the_runs_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Callback(integration_utils.TrainerCallback):
        def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:
            told.append((args.project, args.run_name))

    package(tmp_path / "packages", monkeypatch, "trackio", "")
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "trackio", Callback)
    trained(tmp_path, "trackio")
    assert told == [("my-run", "a-seed-1"), ("my-run", "a-seed-2")]

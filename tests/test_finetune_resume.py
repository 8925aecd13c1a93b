"""Training that is killed goes on as if it had not been: the same losses, the same weights to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import killing
import pytest
import tiny
from safetensors.torch import load_file

from recipes.runs import RunFolder

STEPS = 36
PROGRAM = """
import random
import tiny
from finetune.checkpoints import Checkpoints
from finetune.classifier import ClassifierTrainer

train.Saving = lambda: Saving(every_seconds=1e9, every_steps=5)
draw = random.Random(2)
places = [
    (ClassifierTrainer, "compute_loss", draw.randint(2, 6), KILL),  # between two steps
    (ClassifierTrainer, "training_step", 3, CTRL_C),                # during a step that has no checkpoint otherwise
    (torch, "save", draw.randint(2, 6), KILL),                      # in the middle of writing a checkpoint
    (ClassifierTrainer, "evaluate", 1, CTRL_C),                     # while an epoch is validated
    (Checkpoints, "seal", draw.randint(2, 6), KILL),                # written, not yet declared whole
    (Checkpoints, "_remove", draw.randint(2, 6), KILL),             # while older ones are removed
]
gc.freeze()  # so that a child's collector does not copy the parent's memory page by page
folder, base = Path(sys.argv[3]), Path(sys.argv[4])
recipe = tiny.make_recipe(base, a=dict(targets="soft", temperature=2.0, epochs=3, precision="bf16"))
assert child(tiny.make_run(folder / "whole", 96, 16), recipe) == 0
run = tiny.make_run(folder / "killed", 96, 16)
print(json.dumps([child(run, recipe, *place) for place in places] + [child(run, recipe)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_anywhere_and_taken_up_again_gives_the_same_weights(tmp_path: Path) -> None:
    done = killing.run_program(PROGRAM, tmp_path, tiny.make_base(tmp_path / "base"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9, 130, -9, 130, -9, -9, 0]
    seeds = [RunFolder(tmp_path / name).student("a", 42) for name in ("whole", "killed")]
    once, again = (load_file(seed / "model.safetensors") for seed in seeds)
    assert once.keys() == again.keys()
    assert max(float((once[name] - again[name]).abs().max()) for name in once) == 0.0
    records = [json.loads((seed / "training.json").read_text(encoding="utf-8")) for seed in seeds]
    assert records[0]["losses"] == records[1]["losses"]
    assert len(records[0]["losses"]) == STEPS
    assert records[0]["epochs"] == records[1]["epochs"]
    said = (tmp_path / "killed" / "said.txt").read_text(encoding="utf-8")
    assert "going on from step" in said
    assert "being written" in said
    assert "stopped at step 3; the same command goes on from step 3" in said
    assert "stopped at step 12; the same command goes on from step 12" in said  # after the epoch is validated
    assert not (seeds[1].parent / "checkpoints").exists()

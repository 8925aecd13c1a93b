"""A seq2seq training that is killed goes on as if it had not been: same losses, scores and weights to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import killing
import pytest
from safetensors.torch import load_file

from recipes.runs import RunFolder

PROGRAM = """
import random
import tiny_t5
from finetune.checkpoints import Checkpoints
from finetune.seq2seq_trainer import Seq2seqTrainer

train.Saving = lambda: Saving(every_seconds=1e9, every_steps=4)
draw = random.Random(3)
places = [
    (Seq2seqTrainer, "compute_loss", draw.randint(2, 5), KILL),   # between two steps
    (Seq2seqTrainer, "training_step", 3, CTRL_C),                 # during a step that has no checkpoint otherwise
    (torch, "save", draw.randint(2, 6), KILL),                    # in the middle of writing a checkpoint
    (Seq2seqTrainer, "evaluate", 1, CTRL_C),                      # while an epoch is validated
    (Seq2seqTrainer, "_micro_f1", 1, KILL),                       # while validation rows are answered
    (Checkpoints, "seal", draw.randint(2, 4), KILL),              # written, not yet declared whole
]
gc.freeze()  # so that a child's collector does not copy the parent's memory page by page
folder = Path(sys.argv[3])
recipe = tiny_t5.make_recipe(a=dict(epochs=4))
assert child(tiny_t5.make_run(folder / "whole", 48, 8), recipe) == 0
run = tiny_t5.make_run(folder / "killed", 48, 8)
print(json.dumps([child(run, recipe, *place) for place in places] + [child(run, recipe)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_anywhere_and_taken_up_again_gives_the_same_weights(tmp_path: Path) -> None:
    done = killing.run_program(PROGRAM, tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9, 130, -9, 130, -9, -9, 0], (tmp_path / "killed" / "said.txt").read_text()
    seeds = [RunFolder(tmp_path / name).student("a", 42) for name in ("whole", "killed")]
    once, again = (load_file(seed / "model.safetensors") for seed in seeds)
    assert once.keys() == again.keys()
    assert max(float((once[name] - again[name]).abs().max()) for name in once) == 0.0
    records = [json.loads((seed / "training.json").read_text(encoding="utf-8")) for seed in seeds]
    assert records[0]["losses"] == records[1]["losses"]
    assert len(records[0]["losses"]) == 24
    assert records[0]["epochs"] == records[1]["epochs"]
    said = (tmp_path / "killed" / "said.txt").read_text(encoding="utf-8")
    assert "going on from step" in said
    assert "being written" in said
    assert not (seeds[1].parent / "checkpoints").exists()

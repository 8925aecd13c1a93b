"""A LoRA on a real NF4 base that is killed goes on as if it had not been: the same losses, the same weights."""

from __future__ import annotations

import json
import os
from pathlib import Path

import killing
import pytest
from safetensors.torch import load_file
from tiny_llama import make_llama

from recipes.runs import RunFolder

STEPS = 12
PROGRAM = """
import tiny_causal
from finetune import causal_trainer
from finetune.causal_trainer import CausalTrainer
from finetune.checkpoints import Checkpoints
import finetune.causal  # all that is slow to import, once

train.Saving = lambda: Saving(every_seconds=1e9, every_steps=2)
places = [
    (CausalTrainer, "compute_loss", 5, KILL),           # between two steps, or two micro-batches
    (CausalTrainer, "training_step", 5, CTRL_C),        # during a step that has no checkpoint otherwise
    (torch, "save", 4, KILL),                           # in the middle of writing a checkpoint
    (causal_trainer, "save_weights", 1, KILL),          # before its weights are written
    (CausalTrainer, "evaluate", 1, CTRL_C),             # while the validation loss is taken
    (CausalTrainer, "training_step", 1, 2 * CTRL_C),    # and again at once
    (Checkpoints, "seal", 1, KILL),                     # written, not yet declared whole
    (Checkpoints, "_remove", 1, KILL),                  # while older ones are removed
]
gc.freeze()  # so that a child's collector does not copy the parent's memory page by page
folder, base = Path(sys.argv[3]), sys.argv[4]
recipe = tiny_causal.make_recipe(
    a=dict(base=base, quantization="nf4", lora=dict(rank=8, alpha=16, dropout=0.1), optimizer="adamw_8bit",
           epochs=2, evaluations=2, precision="bf16", rows="description", micro_batch=2))
assert child(tiny_causal.make_run(folder / "whole", 48, 4), recipe) == 0
run = tiny_causal.make_run(folder / "killed", 48, 4)
print(json.dumps([child(run, recipe, *place) for place in places] + [child(run, recipe)]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_anywhere_and_taken_up_again_gives_the_same_adapter(tmp_path: Path) -> None:
    done = killing.run_program(PROGRAM, tmp_path, make_llama(tmp_path / "base"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9, 130, -9, -9, 130, 130, -9, -9, 0]
    seeds = [RunFolder(tmp_path / name).student("a", 3407) for name in ("whole", "killed")]
    once, again = (load_file(seed / "adapter_model.safetensors") for seed in seeds)
    assert once.keys() == again.keys()
    assert max(float((once[name] - again[name]).abs().max()) for name in once) == 0.0
    assert any(float(once[name].abs().max()) > 0 for name in once if "lora_B" in name)
    records = [json.loads((seed / "training.json").read_text(encoding="utf-8")) for seed in seeds]
    assert records[0]["losses"] == records[1]["losses"]
    assert len(records[0]["losses"]) == STEPS
    assert records[0]["validations"] == records[1]["validations"]
    assert len(records[0]["validations"]) == 4
    said = (tmp_path / "killed" / "said.txt").read_text(encoding="utf-8")
    assert "going on from step" in said
    assert "being written" in said
    assert "this step is finished and a checkpoint written, then it stops; Ctrl-C again stops at once" in said
    assert "stopped at step 5; the same command goes on from step 5" in said
    assert said.count("stopped at step 9; the same command goes on from step 9") == 2  # the second time at once
    assert not (seeds[1].parent / "checkpoints").exists()

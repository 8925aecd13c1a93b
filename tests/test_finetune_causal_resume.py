"""A LoRA on a real NF4 base that is killed goes on as if it had not been: the same losses, the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_llama import make_llama

from recipes.runs import RunFolder

STEPS = 12
RUNNER = '''
import gc, json, os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import tiny_causal, torch
from finetune import causal_stage, causal_trainer, train
from finetune.checkpoints import Checkpoints
from finetune.course import Saving
import finetune.causal  # all that is slow to import, once

torch.set_num_threads(1)
train.Saving = lambda: Saving(every_seconds=1e9, every_steps=2)

def die(after, place):
    """Count calls of `place` and die in the one numbered `after`."""
    owner, name = place
    real, calls = getattr(owner, name), [0]
    def dying(*args, **kwargs):
        calls[0] += 1
        if calls[0] == after:
            if name == "save":
                Path(args[1]).write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(owner, name, dying)

def child(run, recipe, death=None):
    """One process that trains, and perhaps dies; forked, because importing trl takes seconds."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(str(run.path / "said.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        if death is not None:
            die(*death)
        code = 1
        try:
            train.train_student(recipe, "a", run)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

places = [
    (causal_trainer.CausalTrainer, "compute_loss", 5),  # between two steps, or two micro-batches
    (torch, "save", 4),                                 # in the middle of writing a checkpoint
    (causal_trainer, "save_weights", 3),                # before its weights are written
    (Checkpoints, "seal", 2),                           # written, not yet declared whole
    (Checkpoints, "_remove", 2),                        # while older ones are removed
]
gc.freeze()  # so that a child's collector does not copy the parent's memory page by page
folder = Path({folder!r})
recipe = tiny_causal.make_recipe(
    a=dict(base={base!r}, quantization="nf4", lora=dict(rank=8, alpha=16, dropout=0.1), optimizer="adamw_8bit",
           epochs=2, evaluations=2, precision="bf16", rows="description", micro_batch=2))
assert child(tiny_causal.make_run(folder / "whole", 48, 4), recipe) == 0
run = tiny_causal.make_run(folder / "killed", 48, 4)
codes = [child(run, recipe, (after, (owner, name))) for owner, name, after in places] + [child(run, recipe)]
print(json.dumps(codes))
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_anywhere_and_taken_up_again_gives_the_same_adapter(tmp_path: Path) -> None:
    base = make_llama(tmp_path / "base")
    root, tests = str(Path(__file__).parent.parent), str(Path(__file__).parent)
    program = RUNNER.format(root=root, tests=tests, folder=str(tmp_path), base=str(base))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9, -9, -9, -9, -9, 0]
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
    assert not (seeds[1].parent / "checkpoints").exists()

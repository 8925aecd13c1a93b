"""Training that is killed goes on as if it had not been: the same losses, the same weights to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from safetensors.torch import load_file

from recipes.runs import RunFolder

STEPS = 36
RUNNER = '''
import gc, json, os, random, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
import tiny, torch
from finetune import classifier, train
from finetune.checkpoints import Checkpoints
from finetune.course import Saving

torch.set_num_threads(1)
base, draw = Path({base!r}), random.Random({seed})
train.Saving = lambda: Saving(every_seconds=1e9, every_steps=5)

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
    """One process that trains, and perhaps dies; forked, because importing torch takes seconds."""
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
    (classifier.ClassifierTrainer, "compute_loss"),  # between two steps
    (torch, "save"),                                 # in the middle of writing a checkpoint
    (Checkpoints, "seal"),                           # written, not yet declared whole
    (Checkpoints, "_remove"),                        # while older ones are removed
]
gc.freeze()  # so that a child's collector does not copy the parent's memory page by page
folder = Path({folder!r})
recipe = tiny.make_recipe(base, a=dict(targets="soft", temperature=2.0, epochs=3, precision="bf16"))
assert child(tiny.make_run(folder / "whole", 96, 16), recipe) == 0
run = tiny.make_run(folder / "killed", 96, 16)
codes = [child(run, recipe, (draw.randint(2, 6), place)) for place in places] + [child(run, recipe)]
print(json.dumps(codes))
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_anywhere_and_taken_up_again_gives_the_same_weights(tmp_path: Path) -> None:
    base = tiny.make_base(tmp_path / "base")
    root, tests = str(Path(__file__).parent.parent), str(Path(__file__).parent)
    program = RUNNER.format(root=root, tests=tests, folder=str(tmp_path), base=str(base), seed=2)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [-9, -9, -9, -9, 0]
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
    assert not (seeds[1].parent / "checkpoints").exists()

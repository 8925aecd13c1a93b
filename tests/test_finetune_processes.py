"""Two processes that train one student: the same losses as one, and one of them writes and speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune import processes
from recipes.console import say

PROGRAM = """
import sys
sys.path[:0] = sys.argv[2:]
import tiny_causal
from pathlib import Path
from finetune import processes
from finetune.train import train_students
from recipes.runs import RunFolder

folder = Path(sys.argv[1])
if processes.leads():
    tiny_causal.make_run(folder, train=33, validation=5)
processes.wait()
recipe = tiny_causal.make_recipe(
    domain=dict(rows="description", packing="grouped", micro_batch=2),
    tuned=dict(base="students.domain", quantization="nf4", lora=dict(rank=4, alpha=8), format="think"))
train_students(recipe, ["tuned"], RunFolder(folder))
processes.leave()
"""


def records(folder: Path) -> list[dict[str, Any]]:
    names = ("domain", "tuned")
    files = [folder / "students" / name / "seed-3407" / "training.json" for name in names]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    places = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    said = []
    for name, launcher in (
        ("one", [sys.executable]),
        ("two", [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]),
    ):
        command = [*launcher, str(program), str(tmp_path / name), *places]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
    for one, two in zip(records(tmp_path / "one"), records(tmp_path / "two"), strict=True):
        assert len(one["losses"]) == 10  # 33 rows by 8: the fifth step of an epoch has one row, for two processes
        assert one["losses"] == pytest.approx(two["losses"], abs=1e-5)
        assert [at["loss"] for at in one["validations"]] == pytest.approx(
            [at["loss"] for at in two["validations"]], abs=1e-5
        )
    for line in said[0].splitlines():  # each sentence once, as from one process
        if "done" in line:
            assert said[1].count(line.split(",")[0]) == 1


def test_the_first_process_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    say("nothing")
    assert not processes.leads()
    monkeypatch.setenv("RANK", "0")
    say("something")
    assert processes.leads()
    assert capsys.readouterr().err == "something\n"


def test_a_child_by_itself_is_not_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("HF_HOME", "kept")
    assert processes.alone()["HF_HOME"] == "kept"
    assert not {"WORLD_SIZE", "LOCAL_RANK"} & processes.alone().keys()

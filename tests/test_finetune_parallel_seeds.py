"""Several seeds at once: each in its own process, none outlives the first, and what fails is named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import tiny_t5

from finetune import seq2seq_stage
from finetune.parallel_seeds import train_at_once
from finetune.seq2seq_course import make_course
from finetune.seq2seq_record import read_seq2seq_record
from finetune.train import train_student
from recipes.devices import GIB
from recipes.errors import TrainingError
from recipes.seq2seq_memory import LEAST_TOKENS, MOST_TOKENS, seed_bytes, seeds_that_fit, tokens_that_fit

BESIDE = """
import os, signal, sys, time
sys.path[:0] = sys.argv[1:3]
from functools import partial
from pathlib import Path
import test_finetune_parallel_seeds as tasks
from finetune.parallel_seeds import train_at_once
if __name__ == "__main__":
    folder = Path(sys.argv[3])
    try:
        train_at_once({f"seed {n}": partial(tasks.wait_for_the_end, folder / f"{n}.txt") for n in (1, 2, 3)}, 2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def note(path: Path, text: str) -> None:
    """What a process that does its work does."""
    path.write_text(f"{os.getpid()} {text}", encoding="utf-8")


def refuse() -> None:
    raise TrainingError("seed 2: the loss is nan")


def fall_over() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_the_end(path: Path) -> None:
    """Work that hears Ctrl-C and takes a while to stop."""
    path.write_text(str(os.getpid()), encoding="utf-8")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        path.write_text("stopped", encoding="utf-8")
        raise


def until(what: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[1].split()[0] != "Z"


def test_each_task_is_done_in_a_process_of_its_own(tmp_path: Path) -> None:
    train_at_once({f"seed {n}": partial(note, tmp_path / f"{n}", "done") for n in range(3)}, 2)
    told = [(tmp_path / f"{n}").read_text(encoding="utf-8").split() for n in range(3)]
    assert len({pid for pid, _ in told} | {str(os.getpid())}) == 4
    assert {word for _, word in told} == {"done"}


def test_what_fails_is_named_and_nothing_more_is_begun(tmp_path: Path) -> None:
    tasks = {
        "seed 1": partial(note, tmp_path / "1", "done"),
        "seed 2": refuse,
        "seed 3": partial(note, tmp_path / "3", ""),
    }
    with pytest.raises(TrainingError, match=r"^seed 2: the loss is nan$"):
        train_at_once(tasks, 2)
    assert (tmp_path / "1").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_process_that_is_killed_is_named() -> None:
    with pytest.raises(TrainingError, match=r"^seed 7: its process was killed by signal 9; the same command goes on"):
        train_at_once({"seed 7": fall_over}, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_first(tmp_path: Path, number: signal.Signals) -> None:
    tests = Path(__file__).parent
    program = tmp_path / "program.py"
    program.write_text(BESIDE, encoding="utf-8")
    command = [sys.executable, str(program), str(tests.parent), str(tests), str(tmp_path)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: all((tmp_path / f"{n}.txt").exists() and (tmp_path / f"{n}.txt").stat().st_size for n in (1, 2)))
    children = [int((tmp_path / f"{n}.txt").read_text(encoding="utf-8")) for n in (1, 2)]
    assert all(alive(pid) for pid in children)
    first.send_signal(number)
    code = first.wait(timeout=20)
    until(lambda: not any(alive(pid) for pid in children))
    assert not (tmp_path / "3.txt").exists()
    if number == signal.SIGINT:
        assert code == 130
        assert {(tmp_path / f"{n}.txt").read_text(encoding="utf-8") for n in (1, 2)} == {"stopped"}


def test_seeds_are_trained_at_once_and_as_they_would_be_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_t5.make_run(tmp_path, train=8, validation=0)
    train_student(tiny_t5.make_recipe(a={"seeds": [1, 2], "parallel": 2, "epochs": 1}), "a", run)
    assert "2 seeds to train, 2 at a time" in capsys.readouterr().err
    both = read_seq2seq_record(run, "a")
    shutil.rmtree(run.student("a", 1))
    train_student(tiny_t5.make_recipe(a={"seeds": [1, 2], "epochs": 1}), "a", run)  # seed 2 was finished before
    again = read_seq2seq_record(run, "a")
    assert again.seeds[1].losses == pytest.approx(both.seeds[1].losses, rel=1e-4)
    assert again.seeds[2] == both.seeds[2]


def test_how_many_fit() -> None:
    needed = seed_bytes(223_000_000, 300_000, 4096)  # T5-base: 16 bytes a weight, a process, activations
    assert needed == GIB + 16 * 223_000_000 + 300_000 * 4096
    assert [seeds_that_fit(free * GIB, needed) for free in (1, 8, 16, 80)] == [1, 1, 2, 13]
    assert tokens_that_fit(80 * GIB, 1, 223_000_000, 300_000) == MOST_TOKENS
    assert tokens_that_fit(8 * GIB, 1, 223_000_000, 1_000_000) == (int(0.9 * 8 * GIB) - GIB - 16 * 223_000_000) // 10**6
    assert tokens_that_fit(4 * GIB, 2, 223_000_000, 10**6) == LEAST_TOKENS


def test_on_a_cpu_one_is_trained_at_a_time_unless_asked(tmp_path: Path) -> None:
    run = tiny_t5.make_run(tmp_path, train=8, validation=0)
    for told, at_once in ((None, 1), (2, 2), (9, 3)):
        recipe = tiny_t5.make_recipe(a={"seeds": [1, 2, 3], "parallel": told})
        assert seq2seq_stage.seeds_at_once(make_course(recipe, "a", run, {}, 1)) == at_once

"""Which checkpoint is whole: seals, damage, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune.checkpoints import KEEP, SEAL, Checkpoints


def write(checkpoints: Checkpoints, step: int, best: int | None = None, seal: bool = True) -> Path:
    folder = checkpoints.path(step)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(bytes([step % 251]) * 100)
    (folder / "optimizer.pt").write_bytes(b"optimizer")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "trainer_state.json").write_text(json.dumps({"best_global_step": best}), encoding="utf-8")
    if seal:
        checkpoints.seal(step)
    return folder


@pytest.fixture()
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "work", "this training")


def test_none_at_first(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None


def test_the_last_two_and_the_best_epochs_are_kept(checkpoints: Checkpoints) -> None:
    for step, best in [(10, 10), (20, 10), (30, 10), (40, 10)]:
        write(checkpoints, step, best)
    assert KEEP == 2
    assert checkpoints.steps() == [40, 30, 10]
    write(checkpoints, 50, best=50)
    assert checkpoints.steps() == [50, 40, 10]  # 40, should 50 be lost, still has its best
    write(checkpoints, 60, best=50)
    assert checkpoints.steps() == [60, 50]


def test_a_pickle_is_not_kept(checkpoints: Checkpoints) -> None:
    assert not (write(checkpoints, 10) / "training_args.bin").exists()


def test_one_that_was_being_written_is_not_used(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    write(checkpoints, 10)
    write(checkpoints, 20, seal=False)
    assert checkpoints.newest() == checkpoints.path(10)
    said = capsys.readouterr().err
    assert "checkpoint-20" in said
    assert "being written" in said
    assert checkpoints.steps() == [10]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json", SEAL])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_one_is_named_and_the_one_before_it_used(
    checkpoints: Checkpoints, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(checkpoints, 10)
    path = write(checkpoints, 20) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if damage == "cut" else content)
    assert checkpoints.newest() == checkpoints.path(10)
    assert "checkpoint-20 cannot be used" in capsys.readouterr().err


def test_one_whose_best_epoch_is_damaged_is_not_used(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    for step, best in [(10, 10), (20, 20), (30, 20)]:
        write(checkpoints, step, best)
    (checkpoints.path(20) / "model.safetensors").write_bytes(b"other")
    assert checkpoints.newest() is None  # 30 and 20 need 20; 10 was no longer needed
    assert checkpoints.steps() == []
    said = capsys.readouterr().err
    assert said.count(" and is removed") == 2
    assert "the one before it" not in said, "there is none"


def test_anothers_checkpoints_are_not_taken_up(checkpoints: Checkpoints, tmp_path: Path) -> None:
    write(checkpoints, 10)
    other = Checkpoints(tmp_path / "work", "another training")
    assert other.newest() is None
    assert not other.folder.exists()

"""bench/gpu_qlora.py where there is no GPU: its own code on a tiny model, and what it makes of figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "bench" / "results" / "gpu_qlora.json"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program; its children run in this process."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import gpu_qlora  # type: ignore[import-not-found]

    def in_process(arguments: list[str]) -> Any:
        case, folder = arguments[arguments.index("--case") + 1], arguments[arguments.index("--folder") + 1]
        return json.loads(json.dumps(gpu_qlora.measure(gpu_qlora.Case(**json.loads(case)), Path(folder))))

    monkeypatch.setattr(gpu_qlora, "_in_child", in_process)
    return gpu_qlora


def test_a_tiny_one_is_made_planned_and_trained_as_a_large_one_is(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = RESULT.read_bytes() if RESULT.exists() else None
    monkeypatch.setattr(sys, "argv", ["gpu_qlora.py", "--tiny"])
    assert bench.main() == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["recipe"], told["backend"], told["packed"], told["refused"]) == (
        "llama3-products",
        "plain",
        True,
        None,
    )
    assert all(0 < loss < 20 for loss in told["losses"])  # its rows are dice: there is nothing to learn
    assert told["tokens_per_second"] > 0
    assert "peak_gib" not in told
    assert (RESULT.read_bytes() if RESULT.exists() else None) == before


def test_without_a_gpu_it_says_so_and_writes_nothing(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_qlora.py"])
    assert bench.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gpu_qlora: this machine has no CUDA GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (4 << 30, 24 << 30))
    assert bench.main() == 2
    assert "20.0 GiB of this GPU are taken by others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "met"),
    [
        ({"fits": True, "peak_gib": 10.9, "planned_gib": 10.0}, True),
        ({"fits": True, "peak_gib": 11.1, "planned_gib": 10.0}, False),
        ({"fits": True, "peak_gib": 8.9, "planned_gib": 10.0}, False),
        ({"fits": False, "planned_gib": 10.0, "said": "CUDA out of memory"}, False),
    ],
)
def test_the_plan_is_held_to_a_tenth(
    run: dict[str, Any], met: bool, bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked: list[str] = []

    def child(arguments: list[str]) -> dict[str, Any]:
        asked.append(json.loads(arguments[1])["backend"])
        return dict(run)

    monkeypatch.setattr(bench, "_in_child", child)
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    found = bench.run_all(tmp_path, 3)
    assert (found["met"], found["unsloth"], asked) == (met, "not installed", ["plain"] * 3)
    assert capsys.readouterr().err.count("by unsloth: not installed, left out") == 3

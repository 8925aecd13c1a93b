"""The doctor: what it reads from the system, what it says where there is nothing to read."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from recipes import doctor

T4 = "Tesla T4, 15360, 7.5, 535.183.01"


def said(lines) -> dict[str, str]:
    return dict(lines)


@pytest.mark.parametrize(
    ("line", "dtype", "shown"),
    [
        (T4, "fp16", "Tesla T4, 15.0 GB, compute 7.5, driver 535.183.01: precision fp16"),
        ("NVIDIA GeForce RTX 4060, 8188, 8.9, 560.1", "bf16", None),
        ("NVIDIA H200, 143771, 9.0, 570.1", "bf16", None),
        ("Tesla P100-PCIE-16GB, 16384, 6.0, 450.1", "fp32", None),
        ("NVIDIA GB10, [N/A], 12.1, 580.1", "bf16", "NVIDIA GB10, compute 12.1, driver 580.1: precision bf16"),
    ],
)
def test_gpus_and_the_precision_that_fits(line, dtype, shown):
    gpu = doctor.read_gpu(line)
    assert gpu is not None and gpu.dtype() == dtype
    assert shown is None or gpu.line() == shown


@pytest.mark.parametrize("line", ["", "No devices were found", "a, b, c, d", "x, 1, 8, y"])
def test_other_lines_are_no_gpu(line):
    assert doctor.read_gpu(line) is None


def test_no_driver_and_a_broken_one_are_no_gpu(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.find_gpus() == []
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "nvidia-smi")
    done = subprocess.CompletedProcess([], 0, f"{T4}\n{T4}\n", "")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *args, **kwargs: done)
    assert len(doctor.find_gpus()) == 2

    def fail(*args, **kwargs):
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(doctor.subprocess, "run", fail)
    assert doctor.find_gpus() == []


def test_unsloth_is_not_used_without_cuda(monkeypatch):
    versions = {"torch": "2.13.0+cpu", "unsloth": "2026.10.9"}
    monkeypatch.setattr(doctor, "_version", versions.get)
    gpu = doctor.read_gpu(T4)
    assert gpu is not None
    assert said(doctor._gpu_lines([]))["unsloth"] == "2026.10.9, not used: it needs CUDA"
    with_gpu = said(doctor._gpu_lines([gpu]))
    assert with_gpu["unsloth"] == "2026.10.9"
    assert "NOT USED" in with_gpu[""]
    versions.clear()
    assert said(doctor._gpu_lines([]))["unsloth"].startswith("not installed")


def test_versions_outside_the_range_are_marked(monkeypatch):
    wanted = ["torch<=2.13.0,>=2.8", "yaml>=1", "absent>=1", "pytest>=8; extra == 'test'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor, "_version", {"torch": "2.14.0", "yaml": "6.0"}.get)
    assert doctor._packages() == [
        ("torch", "2.14.0 OUTSIDE <=2.13.0,>=2.8"),
        ("yaml", "6.0"),
        ("absent", "NOT INSTALLED (wanted >=1)"),
    ]


def test_keys_are_named_and_never_shown(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "canary-1")
    (tmp_path / ".env").write_text("FIREWORKS_API_KEY=canary-2\n", encoding="utf-8")
    report = "\n".join(doctor.report_lines())
    lines = dict(line.split(None, 1) for line in report.splitlines())
    assert (lines["OPENAI_API_KEY"], lines["FIREWORKS_API_KEY"], lines["HF_TOKEN"]) == ("set", "set in .env", "not set")
    assert "canary" not in report


def test_the_report_knows_this_machine(monkeypatch):
    report = doctor.report_lines()
    lines = dict(line.split(None, 1) for line in report)
    assert lines["python"] == ".".join(map(str, sys.version_info[:3]))
    assert lines["pydantic"].startswith(metadata.version("pydantic"))
    assert float(lines["memory"].split()[0]) > 0 and float(lines["disk"].split()[0]) > 0


def test_a_system_without_proc_is_read_otherwise(monkeypatch):
    def missing(self, *args, **kwargs):
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(doctor.Path, "read_text", missing)
    name, flags = doctor._cpu()
    assert name and flags == set()
    total, free = doctor.memory_bytes()
    assert total >= free >= 0

"""What this machine has: hardware, versions of what we depend on, keys. Asks the system, imports nothing heavy."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from recipes import keys
from recipes.schema import PROVIDERS

GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as nvidia-smi tells it. memory in MiB, 0 where it is shared; capability as (major, minor)."""

    name: str
    memory: int
    capability: tuple[int, int]
    driver: str

    def dtype(self) -> str:
        """The 16-bit format that its tensor cores compute in: bf16 from Ampere on, fp16 on Volta and Turing (T4)."""
        if self.capability >= (8, 0):
            return "bf16"
        return "fp16" if self.capability >= (7, 0) else "fp32"

    def line(self) -> str:
        memory = f"{self.memory / 1024:.1f} GB, " if self.memory else ""
        major, minor = self.capability
        return f"{self.name}, {memory}compute {major}.{minor}, driver {self.driver}: precision {self.dtype()}"


def report_lines() -> list[str]:
    """The whole report, aligned."""
    shown = [*_system(), *_hardware(), *_gpu_lines(find_gpus()), *_packages(), *_settings()]
    width = max(len(name) for name, _ in shown) + 2
    return [f"{name:<{width}}{text}".rstrip() for name, text in shown]


def find_gpus() -> list[Gpu]:
    """NVIDIA GPUs; none where there is no driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = "--query-gpu=name,memory.total,compute_cap,driver_version"
    try:
        done = subprocess.run(  # noqa: S603 (a fixed command)
            [tool, query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for line in done.stdout.splitlines() if (gpu := read_gpu(line)) is not None]


def read_gpu(line: str) -> Gpu | None:
    """One line of nvidia-smi's CSV; None for one that is not understood."""
    parts = [part.strip() for part in line.split(",")]
    try:
        name, memory, capability, driver = parts
        major, minor = capability.split(".")
        return Gpu(name, int(memory) if memory.isdigit() else 0, (int(major), int(minor)), driver)
    except ValueError:
        return None


def _system() -> list[tuple[str, str]]:
    own = _version("tutelage") or "not installed: pip install -e ."
    return [("tutelage", own), ("system", platform.platform()), ("python", platform.python_version())]


def _hardware() -> list[tuple[str, str]]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name, flags = _cpu()
    known = [("bf16", "avx512_bf16"), ("AMX", "amx_bf16"), ("AVX-512", "avx512f"), ("AVX2", "avx2")]
    has = [title for title, flag in known if flag in flags]
    memory, free = memory_bytes()
    disk = shutil.disk_usage(Path.cwd())
    return [
        ("cpu", f"{name}, {cores} cores" + (f", {', '.join(has)}" if has else "")),
        ("memory", f"{memory / GB:.1f} GB, {free / GB:.1f} GB free" if memory else "cannot be read here"),
        ("disk", f"{disk.free / GB:.1f} GB free in {Path.cwd()}"),
    ]


def _cpu() -> tuple[str, set[str]]:
    """The processor's name and what it can do (the flags only where Linux lists them)."""
    name = platform.processor() or platform.machine()
    flags: set[str] = set()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return name, flags
    for line in text.split("\n\n", 1)[0].splitlines():
        title, _, value = line.partition(":")
        if title.strip() == "model name":
            name = value.strip()
        elif title.strip() in ("flags", "Features"):
            flags = set(value.split())
    return name, flags


def memory_bytes() -> tuple[int, int]:
    """Bytes of memory, and of what programs can still get; (0, 0) where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()}
        return sizes["MemTotal"], sizes.get("MemAvailable", 0)
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        import psutil  # type: ignore[import-untyped,unused-ignore]  # accelerate brings it; Windows and macOS
    except ImportError:
        return 0, 0
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def bf16_cpu() -> bool:
    """Whether this processor is quick in bf16, as far as the system says."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpu()[1])


def _gpu_lines(gpus: list[Gpu]) -> list[tuple[str, str]]:
    lines = [("gpu", gpu.line()) for gpu in gpus]
    if not gpus:
        apple = platform.system() == "Darwin" and platform.machine() == "arm64"
        lines.append(("gpu", "Apple silicon (MPS)" if apple else "no NVIDIA GPU found: students train on the CPU"))
    elif "+cpu" in (_version("torch") or ""):
        lines.append(("", "NOT USED: this torch is a build for the CPU; see pytorch.org for one with CUDA"))
    unsloth = _version("unsloth")
    if unsloth is None:
        return [*lines, ("unsloth", "not installed; it needs CUDA, and everything runs without it")]
    return [*lines, ("unsloth", unsloth if gpus else f"{unsloth}, not used: it needs CUDA")]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[tuple[str, str]]:
    """Each dependency with its version; those outside the range we are tested with are marked."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in metadata.requires("tutelage") or []]
    except metadata.PackageNotFoundError:
        return []
    lines = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None:
            lines.append((requirement.name, f"NOT INSTALLED (wanted {requirement.specifier})"))
        elif requirement.specifier.contains(version, prereleases=True):
            lines.append((requirement.name, version))
        else:
            lines.append((requirement.name, f"{version} OUTSIDE {requirement.specifier}"))
    return lines


def _settings() -> list[tuple[str, str]]:
    """Which keys are set, never their values."""
    names = [variable for _, variable in PROVIDERS.values() if variable is not None] + ["HF_TOKEN"]
    lines = [(name, _where(name)) for name in names]
    return [*lines, ("HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "not set"))]


def _where(variable: str) -> str:
    if os.environ.get(variable, "").strip():
        return "set"
    return "set in .env" if keys.read_key(variable) else "not set"

"""Who may read a model's files: as any new file of this process; safetensors lets none but their owner."""

from __future__ import annotations

import tempfile
from pathlib import Path


def as_usual(folder: Path) -> None:
    """Give every file of a folder the permissions that this process gives a new one (its umask)."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        probe = Path(scratch) / "new"
        probe.touch()
        mode = probe.stat().st_mode & 0o777
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(mode)

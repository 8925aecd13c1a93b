"""The base of a student on a student: its adapter merged, in a format that holds its weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file
from tiny_llama import load_plain, make_adapter, make_llama

from finetune import merged_base
from finetune.bases import Base
from finetune.merged_base import whole_base

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("largest", "dtype"), [(1.0, "float16"), (1e5, "bfloat16")])
def test_weights_too_large_for_float16_are_merged_to_bfloat16(
    largest: float, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, adapter = make_llama(tmp_path / "base"), tmp_path / "student" / "seed-1"
    weights = load_file(base / "model.safetensors")
    weights["model.embed_tokens.weight"][3, 0] = largest
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    make_adapter(load_plain(base), adapter)
    (adapter / "base.json").write_text("{}")
    record = SimpleNamespace(quantization="none", dtype="float32")
    monkeypatch.setattr(merged_base, "read_base", lambda _: (record, Base("b", str(base), None, None)))
    merged = whole_base(Base("students.plain", str(adapter), None, None, taught_length=64), "student b")
    assert json.loads((Path(merged.place) / "config.json").read_bytes())["dtype"] == dtype
    assert [path.name for path in Path(merged.place).parent.iterdir()] == [Path(merged.place).name]

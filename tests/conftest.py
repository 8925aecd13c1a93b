"""Every test runs offline, and away from the user's keys."""

from __future__ import annotations

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "FIREWORKS_API_KEY", "DEEPSEEK_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)

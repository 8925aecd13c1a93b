"""Every test runs offline, and away from the user's keys."""

from __future__ import annotations

import os
import signal

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Where a shell started the tests in the background, Ctrl-C is ignored, by all that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "FIREWORKS_API_KEY", "DEEPSEEK_API_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)

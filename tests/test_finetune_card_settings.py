"""Settings on a card are words, not values of Python."""

from __future__ import annotations

from finetune.card_settings import settings


def test_settings_in_words() -> None:
    told = settings(
        {"limit": None, "warmup": 5.0, "learning_rate": 2e-4, "rslora": False, "weight_decay": 0.0, "seeds": [1, 2],
         "trackers": [], "scratch": {"hidden": 32, "shape": None}, "optimizer": "adamw"}
    )  # fmt: skip
    assert told == (
        "`warmup`: 5, `learning_rate`: 0.0002, `rslora`: no, `weight_decay`: 0, `seeds`: (1, 2), "
        "`scratch`: (hidden 32), `optimizer`: adamw"
    )

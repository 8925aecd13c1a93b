"""bench/nusax.py without its training: what its goals are about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import nusax  # type: ignore[import-not-found]

    return nusax


def test_a_goal_must_hold_in_each_language(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    said = [("acehnese", "a"), ("acehnese", "a"), ("acehnese", "b"), ("english", "b")]
    rows = [{"label": label, "slices": {"language": language}} for language, label in said]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    often = bench.teacher_majority(path)
    assert often == {"acehnese": pytest.approx(2 / 3), "english": 1}
    one = {"gold": {"low": 0.6}, "majority": 0.4, "agreement": {"low": 0.7}}
    found = {name: one | {"teacher_majority": share} for name, share in often.items()}
    assert list(bench.goals_by_language(found, 2).values()) == [True, False]
    found["english"]["teacher_majority"] = 0.5
    assert list(bench.goals_by_language(found, 2).values()) == [True, True]
    assert not any(bench.goals_by_language(found, 3).values()), "a language is missing"


def test_over_all_languages_there_is_no_interval_and_no_p(bench: Any) -> None:
    """The rows are the same reviews in each language: not independent."""
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "deviation": None}
    assert bench._pooled(figure) == {"value": 0.5, "deviation": None}
    pair = {"rows": 9, "difference": figure, "p": 0.01, "p_holm": 0.02}
    assert bench._pair(pair) == {"rows": 9, "difference": 0.5}

"""What a person sees of a run: a live line in a terminal, plain lines without one."""

from __future__ import annotations

import sys
import time

import pytest

from synth import progress
from synth.progress import Progress


def test_the_line_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    shown = Progress("rows", 5_000, lambda: 0.01234)
    assert shown.line() == "rows: 0 of 5,000 · 0 kept · 0.0 rows/s · $0.0123"
    for _ in range(1_200):
        shown.row()
    for _ in range(3):
        shown.row("malformed")
    shown.row("refused")
    clock[0] += 8.0
    assert shown.line() == (
        "rows: 1,204 of 5,000 · 1,200 kept · 4 rejected (malformed 3, refused 1) · 150.5 rows/s · $0.0123 · 0:25 to go"
    )
    clock[0] += 60.0
    shown.row()
    assert "0.0 rows/s" in shown.line(), "what came at once at the start does not count for ever"
    assert shown.line().endswith("63:15:00 to go")


def test_without_a_terminal_plain_lines_come_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.02)
    monkeypatch.setattr(progress, "is_terminal", lambda: False)
    sys.modules.pop("rich.live", None)
    with Progress("rows", 10) as shown:
        shown.row()
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 5
    assert lines[0].startswith("rows: 1 of 10 · 1 kept")
    assert "rich.live" not in sys.modules, "rich is for terminals"


def test_a_line_is_not_said_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.01)
    monkeypatch.setattr(progress, "is_terminal", lambda: False)
    monkeypatch.setattr(Progress, "line", lambda self: "embedding the first documents")
    with Progress("rows", 10):
        time.sleep(0.2)
    assert capsys.readouterr().err.count("embedding") == 1


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("rows", 10) as shown:
        shown.row()
    assert capsys.readouterr().err == ""


def test_in_a_terminal_the_line_is_live(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LIVE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    with Progress("rows", 10) as shown:
        shown.row("[odd] reason")
        time.sleep(0.1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "rows: 1 of 10 · 0 kept · 1 rejected ([odd] reason 1)" in err

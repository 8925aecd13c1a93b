"""Why a stage runs: what is told of one that never ran, one that did not end, and one whose manifest is damaged."""

from __future__ import annotations

from pathlib import Path

from recipes.runs import RunFolder

STAGE = "predictions-small.seed-2"
INPUTS = {"rows": "1"}


def test_a_stage_that_was_stopped_is_no_stage_that_never_ran(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.why_stale(STAGE, INPUTS) == ["it has not run yet"]
    run.begin(STAGE)
    assert run.why_stale(STAGE, INPUTS) == ["its last run did not end"]
    assert run.why_stale("predictions-small.seed-1", INPUTS) == ["it has not run yet"]
    run.finish(STAGE, INPUTS, [], {})
    assert run.why_stale(STAGE, INPUTS) == []
    assert [path.name for path in (tmp_path / "run" / "manifests").iterdir()] == [f"{STAGE}.json"]


def test_of_a_finished_stage_that_is_begun_anew_nothing_is_left_to_trust(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.finish(STAGE, INPUTS, [], {})
    run.begin(STAGE)
    assert run.why_stale(STAGE, INPUTS) == ["its last run did not end"]


def test_a_stage_at_work_that_has_changed_nothing_yet_stays_up_to_date(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.finish("rows", INPUTS, [], {})
    run.start("rows")
    assert run.why_stale("rows", INPUTS) == []
    assert run.why_stale("rows", {"rows": "2"}) == ["rows changed"]


def test_a_damaged_manifest_is_called_that(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.finish("rows", INPUTS, [], {})
    run.manifest_path("rows").write_text("{", encoding="utf-8")
    assert run.why_stale("rows", INPUTS) == ["its manifest is damaged"]

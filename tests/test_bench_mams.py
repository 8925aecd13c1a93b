"""bench/mams.py without its training: what its goals are about, and what they are not."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from recipes.load import load_recipe

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import mams  # type: ignore[import-not-found]

    assert Path(sys.modules["lexicon_teacher"].__file__ or "").parent == ROOT / "bench"
    return mams


FUNNEL = {"not_drawn": 0, "set_aside": {"duplicate": 1}, "asked": 9, "kept": {"train": 6, "test": 2}}


def found(gain: float, p: float) -> dict[str, Any]:
    pairs = [
        {"dataset": f"mams-{task}", "difference": {"value": gain, "low": gain - 0.1, "high": gain + 0.1}, "p_holm": p}
        for task in ("atsa", "acsa")
    ]
    return {
        "rows": {"mams-atsa": 500, "mams-acsa": 400},
        "funnels": dict.fromkeys(("atsa", "acsa"), FUNNEL | {"rejected": {"empty_text": 1}}),
        "f1": {"lexicon": {"value": 0.45}, "one_vs_rest": {"value": 0.6}},
        "with_and_without_reading": pairs,
    }


def test_each_row_is_accounted_for_and_each_gain_paired(bench: Any) -> None:
    lines = {"atsa": 10, "acsa": 10}
    assert all(bench.goals(found(0.04, 0.01), lines).values())
    missed = [name for name, met in bench.goals(found(0.04, 0.01), lines | {"acsa": 11}).items() if not met]
    assert missed == ["all_rows_accounted_for"]
    unpaired = found(0.04, 0.01)
    unpaired["with_and_without_reading"].pop()
    missed = [name for name, met in bench.goals(unpaired, lines).items() if not met]
    assert missed == ["gain_paired_on_both_tasks"]


def test_above_the_baseline_is_said_in_words(bench: Any) -> None:
    f1 = {"atsa-read": {"value": 0.41}, "atsa-plain": {"value": 0.38}, "lexicon": {"value": 0.453}}
    above, said = bench.against_baseline("atsa", f1)
    assert (above, said) == (False, "atsa-read 41.0 is not above the baseline lexicon 45.3 (micro F1)")
    assert bench.against_baseline("atsa", f1 | {"atsa-plain": {"value": 0.5}})[0]


def test_its_recipe_holds(bench: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("mams_atsa/train", "mams_atsa/test", "mams_acsa/train", "mams_acsa/test"):
        path = data / f"{name}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b'{"id": "1", "text": "x", "aspects": []}\n' * 3))
    (tmp_path / "reviews.jsonl").write_text('{"text": "x", "analysis": {"opinions": []}}\n' * 200, encoding="utf-8")
    tuned = f"seeds: [1, 2], epochs: 2, {bench.HOW}, max_target_length: 64"
    text = bench.RECIPE.format(
        reviews=tmp_path / "reviews.jsonl", data=data, seed=1, read=2, shape=bench.SHAPE, how=bench.HOW, tuned=tuned
    )
    (tmp_path / "mams.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "mams.yaml")
    for task in bench.TASKS:
        plain, read = recipe.seq2seq(f"{task}-plain"), recipe.seq2seq(f"{task}-read")
        assert plain.model_copy(update={"base": read.base, "scratch": read.scratch}) == read
        assert plain.scratch == recipe.seq2seq("reader").scratch
    assert bench.lines_of(data, "atsa") == 6


def test_no_sentence_is_read_that_either_dataset_is_tested_on(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "reader", lambda: lambda text: [{"target": text}] if text != "silent" else [])
    texts = {
        "mams_atsa/train": ("one", "tested", "checked", "one"),
        "mams_atsa/validation": ("x",),
        "mams_atsa/test": ("y",),
        "mams_acsa/train": ("two", "one", "y", "silent"),
        "mams_acsa/validation": ("checked",),
        "mams_acsa/test": ("tested",),
    }
    for name, said in texts.items():
        path = tmp_path / f"{name}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps({"text": text}) + "\n" for text in said).encode()))
    assert bench.write_reviews(tmp_path, tmp_path / "reviews.jsonl") == 3
    lines = (tmp_path / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one", "two"]

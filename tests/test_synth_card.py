"""The dataset card: `datasets.load_dataset(folder)` gives the rows that lie in the folder, always."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.load import load_recipe
from recipes.runs import RunFolder
from synth.build import build_dataset

RECIPE = """\
name: things
task: description
source: {path: rows.jsonl, fields: {title: title, description: text}, test: 2, validation: 0.25}
filters: {min_response_chars: 1}
students: {s: {kind: causal, base: tiny, format: alpaca}}
"""


def built(folder: Path, word: str) -> str:
    """Rows about a word, built; the folder they lie in."""
    folder.mkdir(exist_ok=True)
    (folder / "things.yaml").write_text(RECIPE, encoding="utf-8")
    rows = [{"title": f"{word} {number}", "text": f"A {word} of number {number}."} for number in range(8)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = RunFolder(folder / "run")
    build_dataset(load_recipe(folder / "things.yaml"), run)
    return str(run.rows)


def on_disk(folder: str, split: str) -> list[str]:
    lines = (Path(folder) / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


@pytest.mark.parametrize("offline", [True, False])
def test_a_folder_gives_its_own_rows(tmp_path, monkeypatch, offline):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    seen = []
    for folder, word in [("one", "lamp"), ("two", "chair"), ("one", "clock"), ("one", "lamp")]:
        rows = built(tmp_path / folder, word)
        loaded = datasets.load_dataset(rows)
        assert {split: list(loaded[split]["question"]) for split in loaded} == {
            split: on_disk(rows, split) for split in ("train", "validation", "test")
        }
        assert {text.split()[0] for text in loaded["train"]["question"]} == {word}
        seen.append(loaded["train"].cache_files[0]["filename"])
    assert Path(seen[0]).is_relative_to(tmp_path / "cache")
    assert len(set(seen)) == 3
    assert seen[3] == seen[0]  # the same rows once more are not copied again


def test_without_the_digest_the_cache_would_mix_them_up(tmp_path, monkeypatch):
    """What the card is for: should this fail, `datasets` sees content by itself and the digest may go."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    words = []
    for folder, word in [("one", "lamp"), ("two", "chair")]:
        rows = Path(built(tmp_path / folder, word))
        lines = (rows / "README.md").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if "sha256" not in line and "description:" not in line]
        (rows / "README.md").write_text("".join(kept), encoding="utf-8")
        words.append(datasets.load_dataset(str(rows))["train"]["question"][0].split()[0])
    assert words == ["lamp", "lamp"]

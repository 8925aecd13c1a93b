"""The rows stage, from files to files, with recorded replies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipes.chat import Reply, Usage
from recipes.load import load_recipe
from recipes.prompts import load_prompt
from recipes.rows import SPLITS, LabelRow, Reject, read_rows
from recipes.runs import RunFolder
from synth.__main__ import main
from synth.build import build_dataset
from synth.examples import Examples
from synth.journal import Failure, Journal
from synth.tasks.labels import LabelTask

RECIPE = """\
name: small
task: classify
labels: [negative, neutral, positive]
source: {path: rows.jsonl, text: text, label: label, id: id, test: 2, validation: 0.25}
teacher: {provider: recorded, model: m, journal: replies.jsonl, price: {input: 1, output: 2}}
synthesis: {prompt: sentiment-rationale, reask: 1}
students: {s: {kind: classifier, base: minilm}}
"""
TEXTS = [
    "I &lt;3 this",
    "so bad",
    "it is 5 &amp; raining",
    "meh",
    "great great great",
    "the bus left",
    "why me",
    "yes!!",
]


def good(label):
    return json.dumps({"reason": "because", "label": label})


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


def make_folder(path, texts=TEXTS, recipe=RECIPE):
    (path / "small.yaml").write_text(recipe, encoding="utf-8")
    rows = [{"id": f"r{n}", "text": text, "label": "positive"} for n, text in enumerate(texts)]
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (path / "replies.jsonl").touch()
    return path


def record(folder, answers, overrides=()):
    """Put replies on record: id -> replies in the order of asking (others answer `positive`)."""
    recipe = load_recipe(folder / "small.yaml", overrides)
    task = LabelTask(recipe, load_prompt(recipe))
    with Examples(recipe.source) as examples, Journal.open(folder / "replies.jsonl") as journal:
        examples.read(recipe)
        for example in examples.stream():
            for reply in answers.get(example.id, [good("positive")]):
                found = reply if isinstance(reply, Failure) else Reply(reply, usage=Usage(100, 0, 10))
                for request in task.advance(example, lambda request: journal.get(request.key()))[0]:
                    journal.put(request.key(), example.id, found)


def build(folder, overrides=()):
    run = RunFolder(folder / "run")
    return run, build_dataset(load_recipe(folder / "small.yaml", overrides), run)


def kept(run):
    return [
        row for split in ("train", "validation", "test") for row in read_rows(run.rows / f"{split}.jsonl", LabelRow)
    ]


def rejected(run):
    return list(read_rows(run.rows / "rejects.jsonl", Reject))


def test_every_row_ends_kept_or_rejected_with_its_reason(folder):
    bad = {"r1": ["{broken", good("negative")], "r2": ["nope", "nope"], "r3": [good("mixed"), good("mixed")], "r4": []}
    record(folder, bad)
    run, manifest = build(folder)
    rows, rejects = kept(run), rejected(run)
    assert Counter(row.split for row in rows) + Counter(row.split for row in rejects) == {
        "train": 4, "validation": 2, "test": 2,
    }  # fmt: skip
    assert {row.id for row in rows} | {row.id for row in rejects} == {f"r{n}" for n in range(8)}
    assert {row.id: row.reason for row in rejects} == {"r2": "malformed", "r3": "unknown_label", "r4": "not_recorded"}
    facts = manifest.facts
    assert (facts["read"], facts["asked"], facts["kept"], facts["rejected"], facts["unfit"]) == (8, 8, 5, 3, 0)
    assert (facts["replies"], facts["asked_again"]) == (10, 3)
    assert facts["tokens"] == {"prompt": 1000, "cached": 0, "completion": 100}
    assert facts["usd"] == pytest.approx(1200 / 1e6)
    assert sum(right for right, _ in facts["teacher_right"].values()) == 4
    assert manifest.complete


def test_entities_are_decoded_in_the_rows(folder):
    record(folder, {})
    run, _ = build(folder)
    texts = {row.text for row in kept(run)}
    assert {"I <3 this", "it is 5 & raining"} <= texts


def test_rows_stand_in_source_order(folder):
    record(folder, {})
    run, _ = build(folder)
    ids = [row.id for row in read_rows(run.rows / "train.jsonl", LabelRow)]
    assert len(ids) == 4
    assert ids == sorted(ids)


_BAD = ["I can't help with that", '{"label": "not positive"}', "{" * 99]
_REPLY = st.one_of(st.text(max_size=60), st.sampled_from([good("neutral"), *_BAD]))


@given(st.lists(_REPLY, min_size=8, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_reply_can_lose_a_row(tmp_path_factory, replies):
    folder = make_folder(tmp_path_factory.mktemp("run"))
    record(folder, {f"r{n}": [reply, reply] for n, reply in enumerate(replies)})
    run, manifest = build(folder)
    ids = [row.id for row in (*kept(run), *rejected(run))]
    assert sorted(ids) == [f"r{n}" for n in range(8)]
    assert manifest.facts["asked"] == manifest.facts["kept"] + manifest.facts["rejected"] == 8


def test_source_rejects_are_written_too(tmp_path):
    folder = make_folder(tmp_path, [*TEXTS, "", "so bad", "x" * 300])
    record(folder, {}, ["synthesis.max_text_chars=200"])
    run, manifest = build(folder, ["synthesis.max_text_chars=200"])
    reasons = {row.id: (row.reason, row.stage, row.split) for row in rejected(run)}
    assert reasons == {
        "r8": ("empty_text", "source", None),
        "r9": ("duplicate", "source", None),
        "r10": ("too_long", "source", None),
    }
    assert (manifest.facts["read"], manifest.facts["unfit"], manifest.facts["asked"]) == (11, 3, 8)


def test_a_short_rationale_is_filtered_with_the_reason_kept(folder):
    record(folder, {"r1": ['{"reason": "no", "label": "negative"}']}, ["synthesis.min_rationale_chars=5"])
    run, _ = build(folder, ["synthesis.min_rationale_chars=5"])
    [row] = rejected(run)
    assert (row.id, row.stage, row.reason, row.reply) == ("r1", "filter", "short_rationale", "no")


def test_an_up_to_date_stage_is_not_run_again(folder, capsys):
    record(folder, {})
    run, first = build(folder)
    before = (run.rows / "train.jsonl").stat().st_mtime_ns
    _, second = build(folder)
    assert first == second
    assert (run.rows / "train.jsonl").stat().st_mtime_ns == before
    assert "rows: up to date" in capsys.readouterr().err
    (run.rows / "test.jsonl").unlink()
    build(folder)
    assert "rows/test.jsonl is missing" in capsys.readouterr().err


def test_a_refused_request_is_final(folder):
    record(folder, {"r1": [Failure("rejected", "400: too long")]})
    run, manifest = build(folder)
    [row] = rejected(run)
    assert (row.reason, row.detail) == ("teacher_failed", "rejected: 400: too long")
    assert manifest.complete


def test_ties_are_kept_for_soft_targets_only(folder):
    two = ["synthesis.votes=2"]
    replies = {"r1": [good("positive")], "r2": [good("positive")]}
    recipe = load_recipe(folder / "small.yaml", two)
    task = LabelTask(recipe, load_prompt(recipe))
    with Examples(recipe.source) as examples, Journal.open(folder / "replies.jsonl") as journal:
        examples.read(recipe)
        for example in examples.stream():
            for request in task.advance(example, lambda request: None)[0]:
                label = "negative" if request.sample and example.id in replies else "positive"
                journal.put(request.key(), example.id, Reply(good(label)))
    run, _ = build(folder, two)
    assert {row.id: row.reason for row in rejected(run)} == {"r1": "no_majority", "r2": "no_majority"}
    run, manifest = build(folder, [*two, "students.s.targets=soft"])
    assert {row.id: row.soft for row in kept(run) if row.label is None} == {"r1": (0.5, 0, 0.5), "r2": (0.5, 0, 0.5)}
    assert sum(labels.get("(tie)", 0) for labels in manifest.facts["rows"].values()) == 2


def test_the_card_lets_datasets_load_the_folder(folder):
    from datasets import load_dataset

    model = "teacher.model=m`<script>`"
    record(folder, {"r1": ["nope", "nope"]}, [model])
    run, _ = build(folder, ["about=Two | lines <b>", model])
    card = (run.rows / "README.md").read_text(encoding="utf-8")
    assert "Teacher: `m'<script>'` (recorded)" in card
    assert "malformed 1" in card
    assert "&lt;b>" in card
    data = load_dataset(str(run.rows), cache_dir=str(folder / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == {
        split: len(list(read_rows(run.rows / f"{split}.jsonl", LabelRow))) for split in SPLITS
    }


def test_the_launcher(folder, capsys):
    record(folder, {})
    assert main([str(folder / "small.yaml"), "--run", str(folder / "run")]) == 0
    assert "8 kept" in capsys.readouterr().err


def test_labelled_rows_are_compared_with_none_before_them(folder, monkeypatch):
    monkeypatch.setattr("synth.quality.Echoes", lambda threshold: pytest.fail("echoes were opened"))
    record(folder, {})
    build(folder)


def test_building_needs_no_heavy_library(folder):
    record(folder, {})
    code = (
        "import sys; from synth.__main__ import main; "
        f"main([{str(folder / 'small.yaml')!r}, '--run', {str(folder / 'run')!r}]); "
        "print([n for n in ('torch', 'numpy', 'pandas', 'pyarrow', 'datasets', 'rich', 'aiohttp', 'openai', "
        "'langchain_core') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_quickstart_shows_repaired_asked_again_and_rejected_rows(tmp_path):
    from pathlib import Path

    run = RunFolder(tmp_path)
    manifest = build_dataset(load_recipe(Path(__file__).parent.parent / "recipes" / "quickstart.yaml"), run)
    assert manifest.facts["read"] == 523
    assert manifest.facts["reasons"] == {"refused": 1, "unknown_label": 1}
    assert (manifest.facts["outcomes"]["repaired"], manifest.facts["asked_again"]) == (10, 3)
    assert sum(manifest.facts["rows"]["test"].values()) in (149, 150)


def test_a_run_that_keeps_no_row_does_not_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.errors import SourceError
    from recipes.runs import Manifest
    from synth import build
    from synth.__main__ import main

    facts = {"rows": {"train": {}}, "reasons": {"unknown_label": 64}}
    empty = Manifest(stage="rows", inputs={}, outputs={}, facts=facts)
    monkeypatch.setattr(build, "build_dataset", lambda *_, **__: empty)
    with pytest.raises(SourceError, match=r"no row is left to train on \(64 unknown_label\): see .*rejects\.jsonl"):
        main(["recipes/quickstart.yaml", "--run", str(tmp_path / "run")])

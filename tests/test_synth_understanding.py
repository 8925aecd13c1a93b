"""Rows of reviews: a teacher who reads each of them twice, readings that were published, and gold tuples."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stubs import TeacherStub

from recipes.chat import Reply, Usage
from recipes.load import load_recipe
from recipes.plan import make_plan
from recipes.prompts import load_prompts
from recipes.rows import SPLITS, AspectRow, LabelRow, Reject, Row, UnderstandingRow, read_rows
from recipes.runs import Manifest, RunFolder
from recipes.schema import Recipe
from synth.build import build_dataset
from synth.datasets import build_rows
from synth.examples import Examples
from synth.journal import Journal
from synth.tasks.understanding import UnderstandingTask

TEACHER = "teacher: {provider: recorded, model: m, journal: replies.jsonl}\n"
RECIPE = """\
name: small
task: understanding
source: {path: reviews.jsonl, text: text, id: id, test: 2, validation: 0}
synthesis: {prompt: understanding-analysis, rewrite_prompt: understanding-rewrite, reask: 1}
students: {s: {kind: seq2seq, base: scratch}}
"""
GIVEN = """\
name: small
task: understanding
source: {path: corpus.jsonl, text: Text, analysis: reply, rewrite: reply, test: 0, validation: 0}
students: {s: {kind: seq2seq, base: scratch}}
"""
DATASETS = """\
datasets:
  terms: {task: atsa, source: {path: set.xml, test: 1, validation: 0}}
  moods: {task: sentiment, source: {path: moods.jsonl, text: text, label: mood, label_names: {good: positive}, test: 1}}
"""
XML = """<sentences>
<sentence id="a"><text>The soup was good.</text><aspectTerms>
<aspectTerm term="soup" polarity="positive" from="4" to="8" implicit_sentiment="False"/></aspectTerms></sentence>
<sentence id="b"><text>We left.</text></sentence>
<sentence id="c"><text>Cold tea, warm beer.</text><aspectTerms>
<aspectTerm term="beer" polarity="neutral" from="15" to="19" implicit_sentiment="True"/>
<aspectTerm term="tea" polarity="negative" from="6" to="9" implicit_sentiment="False"/></aspectTerms></sentence>
<sentence id="d"><text>Fine.</text><aspectTerms>
<aspectTerm term="wine" polarity="positive" from="0" to="4"/></aspectTerms></sentence>
</sentences>"""


def analysis(number: int) -> str:
    told = {
        "target": f"dish {number}",
        "aspect": "taste",
        "sentiment": "positive",
        "reasoning": f"Dish {number} was fine.",
    }
    return json.dumps({"opinions": [told]})


def rewrite(number: int) -> str:
    return json.dumps({"rewrite": f"I liked the taste of dish {number} on this evening."})


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def reviews(folder: Path, count: int) -> None:
    write(folder / "reviews.jsonl", [{"id": f"r{n}", "text": f"We had dish {n}, it was fine."} for n in range(count)])


def load(folder: Path, text: str, *overrides: str) -> Recipe:
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    return load_recipe(folder / "small.yaml", overrides)


def answer(recipe: Recipe, path: Path, say: Callable[[str, int, int], str]) -> None:
    """Put replies on record: say(part, number of the review, which try)."""
    task = UnderstandingTask(recipe, load_prompts(recipe))
    with Journal.open(path) as journal, Examples(recipe.source) as examples:
        examples.read(recipe)
        for example in examples.stream():
            tries = dict.fromkeys(task.prompts, 0)
            while requests := task.advance(example, lambda request: journal.get(request.key()))[0]:
                for request in requests:
                    part = "analysis" if request.messages[0] == task.prompts["analysis"].static[0] else "rewrite"
                    said = Reply(say(part, int(example.id[1:]), tries[part]), usage=Usage(100, 0, 10))
                    journal.put(request.key(), example.id, said, model="m")
                    tries[part] += 1


def build(recipe: Recipe, folder: Path) -> tuple[Manifest, dict[str, UnderstandingRow], dict[str, Reject]]:
    run = RunFolder(folder / "run")
    manifest = build_dataset(recipe, run)
    return (
        manifest,
        rows_of(run, UnderstandingRow),
        {row.id: row for row in read_rows(run.rows / "rejects.jsonl", Reject)},
    )


def rows_of(run: RunFolder, kind: type[Row]) -> dict[str, Any]:
    rows = [row for split in SPLITS for row in read_rows(run.rows / f"{split}.jsonl", kind)]
    return {row.id: row for row in rows}  # type: ignore[attr-defined]


def say(part: str, number: int, tries: int) -> str:
    """Number 1 is asked again, 2 and 3 lack a part, 4 is refused, 5 never comes right."""
    good = analysis(number) if part == "analysis" else rewrite(number)
    if number == 1 and part == "analysis" and not tries:
        return good.replace("positive", "splendid")
    if number == 2 and part == "rewrite":
        return json.dumps({"rewrite": "We had dish 2, it was fine."})
    if number == 3 and part == "analysis":
        return good.replace("dish 3", "N/A", 1)
    if number == 4:
        return "I'm sorry, but I can't help with that."
    if number == 5:
        return "{" if part == "analysis" else json.dumps({"rewrite": "N/A"})
    return good


def test_each_review_is_read_twice_and_kept_where_one_reading_is_usable(tmp_path: Path) -> None:
    reviews(tmp_path, 8)
    (tmp_path / "replies.jsonl").touch()
    recipe = load(tmp_path, RECIPE + TEACHER)
    answer(recipe, tmp_path / "replies.jsonl", say)
    manifest, rows, rejects = build(recipe, tmp_path)
    assert set(rows) == {"r0", "r1", "r2", "r3", "r6", "r7"}
    assert rows["r0"].analysis and rows["r0"].analysis[0].target == "dish 0"
    assert rows["r0"].rewrite == "I liked the taste of dish 0 on this evening."
    assert (rows["r2"].rewrite, rows["r3"].analysis) == (None, None)
    assert rows["r2"].analysis and rows["r3"].rewrite
    assert {name: reject.reason for name, reject in rejects.items()} == {"r4": "refused", "r5": "truncated"}
    assert "rewrite: placeholder (the rewrite says nothing: 'N/A')" in rejects["r5"].detail
    facts = manifest.facts
    assert (facts["asked"], facts["kept"], facts["rejected"]) == (8, 6, 2)
    assert facts["parts"] == {"analysis": 5, "rewrite": 5, "opinions": 5}
    assert facts["lost"] == {"rewrite copied_review": 1, "analysis placeholder": 1}
    assert facts["replies"] == 16 + facts["asked_again"] and facts["asked_again"] == 5
    card = (tmp_path / "run" / "rows" / "README.md").read_text(encoding="utf-8")
    assert "understanding-rewrite" in card and "5 with an analysis (5 opinions)" in card


def test_a_part_that_is_not_recorded_is_counted(tmp_path: Path) -> None:
    reviews(tmp_path, 4)
    (tmp_path / "replies.jsonl").touch()
    recipe = load(tmp_path, RECIPE + TEACHER)
    answer(recipe, tmp_path / "replies.jsonl", lambda part, number, _: analysis(number) if part == "analysis" else "{}")
    manifest, rows, _ = build(recipe, tmp_path)
    assert len(rows) == 4 and manifest.facts["lost"] == {"rewrite malformed": 4}


def test_the_plan_counts_two_calls_a_review(tmp_path: Path) -> None:
    reviews(tmp_path, 8)
    paid = "teacher: {provider: openai, model: m, price: {input: 1, output: 2}}\n"
    recipe = load(tmp_path, RECIPE.replace("reask: 1", "reask: 1, budget_usd: 1") + paid)
    plan = "\n".join(make_plan(recipe, RunFolder(tmp_path / "run")).lines())
    assert "16, two a row, analysis and rewrite: 0 answered, 16 to ask" in plan


def test_a_killed_teacher_goes_on_where_it_was(tmp_path: Path) -> None:
    reviews(tmp_path, 40)

    def reply(body: dict[str, Any]) -> str:
        number = int(body["messages"][-1]["content"].split("dish ")[1].split(",")[0])
        return analysis(number) if "list every opinion" in body["messages"][0]["content"] else rewrite(number)

    with TeacherStub(reply, latency=0.02) as stub:
        teacher = f'teacher: {{provider: endpoint, base_url: "{stub.url}", model: m, concurrency: 4}}\n'
        load(tmp_path, RECIPE + teacher)
        command = [sys.executable, "-m", "synth", str(tmp_path / "small.yaml"), "--run", str(tmp_path / "run")]
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while stub.answered.total() < 20:
            assert first.poll() is None
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert not (tmp_path / "run" / "rows" / "train.jsonl").exists()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert 80 <= stub.answered.total() <= 80 + 4
    rows = rows_of(RunFolder(tmp_path / "run"), UnderstandingRow)
    assert len(rows) == 40 and all(row.analysis and row.rewrite for row in rows.values())


def test_a_published_corpus_is_read_without_a_teacher(tmp_path: Path) -> None:
    text = "The soup was good and the bill was late."
    told = 'Opinion Target 1: "soup"\nAspect: Taste\nSentiment: Positive\nReasoning: It says that the soup was good.'
    lines = [
        {"Text": text, "reply": told},
        {"Text": text, "reply": " I enjoyed the good soup, though the bill came late."},
        {"Text": text, "reply": told},
        {
            "Text": "The black tea stood around while other guests waited.",
            "reply": told.replace("good.", "n/a").replace("soup", "-", 1),
        },
        {"Text": "The beer was warm.", "reply": ""},
        {"Text": "The wine was fine.", "reply": "| | |"},
    ]
    write(tmp_path / "corpus.jsonl", lines)
    manifest, rows, rejects = build(load(tmp_path, GIVEN, "source.validation=0.5"), tmp_path)
    assert [(row.analysis is not None, row.rewrite is not None) for row in rows.values()] == [
        (True, False),
        (False, True),
    ]
    assert len({row.group for row in rows.values()}) == 1, "one review, one side of the split"
    reasons = sorted(reject.reason for reject in rejects.values())
    assert reasons == ["duplicate", "nothing_written", "placeholder", "short_rewrite"]
    assert manifest.facts["parts"] == {"analysis": 1, "rewrite": 1, "opinions": 1}


def test_the_rows_of_datasets_are_brought_up_to_date_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "corpus.jsonl", [{"Text": "A good soup.", "reply": "I enjoyed the good soup."}])
    (tmp_path / "set.xml").write_text(XML, encoding="utf-8")
    moods = [{"text": "Nice.", "mood": "good"}, {"text": "Bad.", "mood": "Negative"}, {"text": "Hm.", "mood": ""}]
    write(tmp_path / "moods.jsonl", [*moods, {"text": "Odd.", "mood": "odd"}])
    text = GIVEN.replace("{s:", "{t: {kind: seq2seq, base: scratch, data: terms}, s:") + DATASETS
    recipe, run = load(tmp_path, text), RunFolder(tmp_path / "run")
    plan = "\n".join(make_plan(recipe, run).lines())
    assert "rows of terms: to do: it has not run yet" in plan and "rows of moods: to do" in plan
    build_rows(recipe, run)
    told = capsys.readouterr().err
    assert (
        "rows: 3 gold tuples, none in 1 text; 1 term found at another place than the source gives (first in c)" in told
    )
    terms = rows_of(run.of_dataset("terms"), AspectRow)
    assert {name: row.slices for name, row in terms.items()} == {
        "a": {"implicit": "no", "mixed": "no"},
        "b": {"mixed": "no"},
        "c": {"implicit": "yes", "mixed": "yes"},
    }
    assert [(one.target, one.start) for one in terms["c"].aspects] == [("tea", 5), ("beer", 15)]
    (reject,) = read_rows(run.of_dataset("terms").rows / "rejects.jsonl", Reject)
    assert (reject.id, reject.reason, reject.detail) == (
        "d",
        "term_not_found",
        "the term 'wine' stands nowhere in the text as a word of its own",
    )
    labels = rows_of(run.of_dataset("moods"), LabelRow)
    assert sorted(row.gold for row in labels.values()) == ["negative", "positive"]
    reasons = [reject.reason for reject in read_rows(run.of_dataset("moods").rows / "rejects.jsonl", Reject)]
    assert sorted(reasons) == ["no_gold", "unknown_gold"]
    build_rows(recipe, run)
    assert capsys.readouterr().err.count("up to date") == 3
    (tmp_path / "set.xml").write_text(XML.replace("We left", "We stayed"), encoding="utf-8")
    stages = {plan.name: plan.reasons for plan in make_plan(recipe, run).stages}
    assert stages["rows of terms"] == ["source file changed"] and stages["rows"] == []
    assert stages["student-t"] and stages["student-s"] == ["it has not run yet"]

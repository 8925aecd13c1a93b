"""report.html, report.md, the printed table and the model cards of generated answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import response_runs
import yaml
from test_eval_report import EVIL, Page

from eval.card import END, START, update_cards
from eval.compare import compare
from eval.generate import Response
from eval.markdown import markdown_table
from eval.measures import MEASURES, PAIRED
from eval.numbers import measure_change, measure_changes, measure_span, measure_text
from eval.report import print_report, read_report, response_html
from eval.response_charts import judged_bars, measure_dots
from eval.response_markdown import response_markdown
from eval.response_table import response_cell, response_grid, shown_metrics
from eval.response_verdicts import main_verdicts, open_verdicts
from eval.responses import Figure, Judged, ResponseComparison
from recipes.rows import ResponseRow, read_rows, write_rows
from recipes.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    run = response_runs.run_in(tmp_path)
    rows = response_runs.make_rows(run, test=20)
    recipe = response_runs.recipe_of(students=STUDENTS)
    for name in STUDENTS:
        response_runs.make_student(run, recipe, name, seeds=(1, 2) if name == "tuned" else (3407,))
    open_named = response_runs.speakers(
        rows, base={"errs": 0.9, "nats": 1.5}, tuned={"errs": 0.2, "silent": 1}, other={"errs": 0.3}
    )
    monkeypatch.setattr("eval.responders._opener", lambda recipe, run, name, seed: lambda: open_named(name, seed))
    monkeypatch.setattr("eval.responders._base_opener", lambda recipe, run, name, seed: lambda: open_named("base"))
    return run


STUDENTS = {"tuned": response_runs.student_of(seeds=(1, 2)), "other": response_runs.student_of()}


def compared(run: RunFolder, **changes: Any) -> ResponseComparison:
    sections = {"students": STUDENTS, "evaluation": {"resamples": 100}} | changes
    found = compare(response_runs.recipe_of(**sections), run)
    assert isinstance(found, ResponseComparison)
    return found


def test_the_page_loads_nothing_and_runs_nothing(run: RunFolder) -> None:
    text = response_html(compared(run))
    assert text.startswith("<!doctype html>")
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "href", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?://", text)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    style = text.split("<style>")[1].split("</style>")[0]
    seal = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{seal}'" in policy


def test_words_of_models_stay_words(run: RunFolder) -> None:
    compared(run)
    for path in (run.path / "predictions").glob("*.jsonl"):
        lines = [line.model_copy(update={"response": EVIL, "reasoning": EVIL}) for line in read_rows(path, Response)]
        write_rows(path, lines)
    for path in (run.path / "manifests").glob("predictions-*.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["outputs"] = {name: (run.path / name).stat().st_size for name in manifest["outputs"]}
        path.write_text(json.dumps(manifest), encoding="utf-8")
    run.manifest_path("report").unlink()
    found = compared(run, about=EVIL)
    assert any(answer.response == EVIL for one in found.examples for answer in one.answers)
    text = response_html(found)
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "<script" not in response_markdown(found).replace(f"{EVIL}\n\n", ""), (
        "but for about, which is the recipe's own"
    )


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ("![p](https://a.example/p.png)", r"\!\[p](https://a.example/p.png)"),
        ("[free](https://a.example)", r"\[free](https://a.example)"),
        (r"a \| b | c", r"a \\\| b \| c"),
        ("<b>\n# head", "&lt;b> # head"),
    ],
)
def test_markdown_of_models_stays_words(said: str, cell: str) -> None:
    assert markdown_table(["", "q"], [["m", said]]).splitlines()[-1] == f"| m | {cell} |"


def test_every_figure_is_on_every_page(run: RunFolder) -> None:
    found = compared(run)
    page, text = response_html(found), response_markdown(found)
    for model in found.models:
        for name in shown_metrics(found):
            shown = response_cell(model, name).main.replace("<", "&lt;")
            assert shown in page
            assert shown in text
    for verdict in found.verdicts:
        assert verdict.claim in page.replace("&#39;", "'")
        assert verdict.text() in text
    for part in ("Closeness to the teacher", "Grounded answers", "Questions and answers", "Training", "Side by side"):
        assert part in page
    assert "What the judge says" not in page
    assert read_report(run) == found


def test_verdicts_of_the_first_student_are_shown_and_the_others_folded(run: RunFolder) -> None:
    found = compared(run)
    shown = found.verdicts[: open_verdicts(found)]
    assert all(one.claim.startswith("tuned ") for one in shown)
    assert not any(" other " in f" {one.claim} " for one in shown)
    assert " other " in found.verdicts[open_verdicts(found)].claim
    assert 0 < main_verdicts(found.verdicts) < len(shown)
    only = compared(run, evaluation={"models": ["teacher", "tuned"], "resamples": 100})
    assert open_verdicts(only) == len(only.verdicts)


def test_the_table_has_a_line_per_measure(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(run, evaluation={"metrics": ["rouge_l", "stopped", "cost", "speed"], "resamples": 100})
    grid = response_grid(found)
    assert [name for name, _ in grid.heads] == ["teacher", "tuned", "base of tuned", "other"]
    assert [line.name for line in grid.lines] == ["ROUGE-L", "Stops", "Tokens/s"], "nobody has a price"
    print_report(found)
    shown = capsys.readouterr().out
    assert shown.startswith("measure ")
    assert found.verdicts[0].text() in shown


def test_nobodys_missing_figure_is_a_number(run: RunFolder) -> None:
    rows = [row.model_copy(update={"fields": {}}) for row in read_rows(run.rows / "test.jsonl", ResponseRow)]
    write_rows(run.rows / "test.jsonl", rows)
    recipe = response_runs.recipe_of(students=STUDENTS)
    for name in STUDENTS:
        response_runs.make_student(run, recipe, name)
    found = compared(run)
    assert found.model("tuned").figure("grounded").value is None
    text = re.sub(r"sha256-[^']+'", "", response_html(found))
    assert "Grounded" not in text
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_figures_as_their_measure_is_read() -> None:
    assert measure_text(0.31249, "rouge_l") == "31.2"
    assert measure_text(0.71, "grounded") == "71.0%"
    assert measure_text(0.9125, "bits_per_char") == "0.912"
    assert measure_text(None, "chrf") == "–"
    assert [measure_change(value, "rouge_l") for value in (0.188, -0.00001)] == ["+18.8 points", "0.0 points"]
    assert [measure_change(value, "bits_per_char") for value in (-0.31, 0.0001)] == ["−0.310", "0.000"]
    assert measure_changes(Figure(low=0.1, high=0.31), "grounded") == "+10.0 to +31.0 points"
    assert measure_span(Figure(low=1.5, high=2.0), "perplexity") == "1.50 to 2.00"
    assert measure_span(Figure(value=0.5), "rouge_l") == ""
    assert set(PAIRED) <= set(MEASURES)


def test_charts(run: RunFolder) -> None:
    found = compared(run)
    chart = measure_dots(found.models, "rouge_l")
    assert chart is not None
    assert [dot.model.name for dot in chart.dots] == ["tuned", "base of tuned", "other"]
    assert [len(dot.seeds) for dot in chart.dots] == [2, 0, 0]
    assert all(0 <= dot.low <= dot.at <= dot.high <= 100 for dot in chart.dots)
    assert measure_dots(found.models[:1], "rouge_l") is None
    judged = Judged(
        student="s", other="t", against="teacher", rows=8, wins=4, losses=2, ties=2, flips=1, unscored={},
        win_rate=Figure(value=0.6), words=None, first_wins=None, longer_wins=None, p=1, p_holm=1,
    )  # fmt: skip
    parts = [(part.kind, part.start, part.width) for part in judged_bars([judged])[0][1]]
    assert parts == [("won", 0.0, 50.0), ("tied", 50.0, 25.0), ("lost", 75.0, 25.0)]


CARD = "---\nlibrary_name: peft\ntags:\n- tutelage\n---\n\n# products: tuned\n\nText of the card.\n"


def test_cards_get_the_scores_of_their_seed_once(run: RunFolder) -> None:
    places = [run.student("tuned", 1), run.student("tuned", 2), run.student("tuned")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / "README.md").write_text(CARD, encoding="utf-8")
    found = compared(run)
    texts = [(place / "README.md").read_text(encoding="utf-8") for place in places]
    update_cards(response_runs.recipe_of(students=STUDENTS), run, found)
    assert [(place / "README.md").read_text(encoding="utf-8") for place in places] == texts, "written again, the same"
    seeds = found.model("tuned").seeds
    for text, seed in zip(texts, (*seeds, seeds[0]), strict=True):
        head = yaml.safe_load(text.split("---")[1])
        metrics = head["model-index"][0]["results"][0]["metrics"]
        assert [(one["type"], one["value"]) for one in metrics] == [
            ("rouge", round(seed.figures["rouge_l"] or 0, 4)),
            ("chrf", round(seed.figures["chrf"] or 0, 4)),
            ("perplexity", round(seed.figures["perplexity"] or 0, 4)),
        ]
        assert text.count(START) == text.count(END) == 1
        assert "Text of the card." in text
        assert "| teacher | base of tuned |" in text
    assert found.verdicts[0].text() in texts[2]
    assert found.verdicts[0].text() not in texts[1], "the test was made on the other seed"

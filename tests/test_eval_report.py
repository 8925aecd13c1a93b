"""report.html, report.md, the printed table and the model cards."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import eval_runs
import pytest
import yaml

from eval import charts, curve_charts, numbers
from eval.card import END, START, update_cards
from eval.compare import compare
from eval.comparison import Comparison, Figure, Funnel, LossCurve
from eval.markdown import markdown, markdown_table
from eval.report import html, print_report
from eval.table import columns, draw, grid, table_lines
from recipes.rows import LabelRow, read_rows, write_rows
from recipes.runs import RunFolder

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    run = eval_runs.run_in(tmp_path)
    eval_runs.make_rows(run, votes=3)
    eval_runs.make_student(run)
    return run


def compared(run: RunFolder, **changes: Any) -> Comparison:
    return compare(eval_runs.recipe_of(**{"synthesis": {"prompt": "sentiment-word", "votes": 3}} | changes), run)


class Page(HTMLParser):
    """All tags with their attributes, and a check that they close in order."""

    VOID = frozenset({"meta", "link", "br", "img", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_and_runs_nothing(run: RunFolder) -> None:
    text = html(compared(run))
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
    assert policy == f"default-src 'none'; style-src 'sha256-{seal}'; base-uri 'none'; form-action 'none'"


def test_words_of_others_stay_words(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    write_rows(run.rows / "test.jsonl", [row.model_copy(update={"text": EVIL, "rationale": EVIL}) for row in rows])
    found = compared(run, about=EVIL)
    assert any(one.text == EVIL for one in found.disagreements)
    text = html(found)
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert markdown_table(["a|b"], [["<b>\nc"]]).splitlines() == ["| a\\|b |", "| --- |", "| &lt;b> c |"]


def test_the_page_shows_every_figure_of_the_table(run: RunFolder) -> None:
    found = compared(run)
    text = html(found)
    for model in found.models:
        for column in columns(found):
            assert column.cell(model).main.replace("<", "&lt;") in text
    for verdict in found.verdicts:
        assert verdict.claim in text
    for part in ("Does it know when it is unsure?", "From examples to rows", "Training", "Side by side"):
        assert part in text
    assert "Cost and accuracy" not in text, "no price was given"


def test_the_page_of_a_recipe_without_gold_or_baselines(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    write_rows(run.rows / "test.jsonl", [row.model_copy(update={"gold": None}) for row in rows])
    (run.rows / "rejects.jsonl").unlink()
    found = compared(run, evaluation={"models": ["teacher", "small"], "resamples": 100})
    text = html(found)
    assert "Agreement with the teacher" in text
    assert "Where they go wrong" not in text
    assert "where the student is right" not in text
    text = re.sub(r"sha256-[^']+'", "", text)  # three letters of a digest are no figure
    assert "nan" not in text.casefold().replace("nano", "")


def test_many_labels_get_a_list_of_confusions_in_place_of_a_matrix(run: RunFolder) -> None:
    found = compared(run)
    labels = tuple(f"label {n}" for n in range(charts.MATRIX_LABELS + 1))
    matrix = tuple(tuple(3 * (row == column) + (column == 0) for column in range(14)) for row in range(13))
    models = tuple(one.model_copy(update={"confusion": matrix}) for one in found.models)
    text = html(found.model_copy(update={"labels": labels, "models": models}))
    assert 'class="matrix"' not in text
    assert charts.confusions(models[0], labels)[0] == ("label 1", "label 0", 1)


def test_costs_are_drawn_where_there_are_prices(run: RunFolder) -> None:
    teacher = {"provider": "endpoint", "model": "big", "base_url": "http://127.0.0.1:9/v1"}
    price = {"input": 0.27, "output": 1.1}
    found = compared(run, teacher=teacher | {"price": price}, evaluation={"machine_usd_per_hour": 1, "resamples": 100})
    chart = charts.cost_chart(found)
    assert chart is not None
    assert "majority" not in [dot.model.name for dot in chart.dots]
    assert all(0 <= dot.across <= 100 and 0 <= dot.down <= 100 for dot in chart.dots)
    tags = [(dot.tag_across, dot.tag) for dot in chart.dots]
    assert len(set(tags)) == len(tags), "no two names on one another"
    assert "Cost and accuracy" in html(found)


def test_axes_hold_their_values_between_round_ticks() -> None:
    axis = charts.share_axis([0.62, 0.71])
    assert (round(axis.low, 2), round(axis.high, 2)) == (0.6, 0.75)
    assert [at for _, at in axis.ticks] == pytest.approx([0, 100 / 3, 200 / 3, 100], abs=0.01)
    assert axis.at(0.675) == pytest.approx(50, abs=0.1)
    for values in ([0.0], [1.0], [0.5, 0.5], [0.0, 1.0]):
        axis = charts.share_axis(values)
        assert 0 <= axis.low < axis.high <= 1
        assert all(0 <= axis.at(value) <= 100 for value in values)
    log = charts.log_axis([0.00017, 0.016])
    assert [value for value, _ in log.ticks] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert log.at(0.001) == pytest.approx(33.33, abs=0.01)


def test_the_funnel_and_the_curves() -> None:
    funnel = Funnel(
        not_drawn=10, set_aside={"empty_text": 5}, asked=85, kept={"train": 80, "test": 0}, rejected={"refused": 5}
    )
    bars = [(bar.name, bar.count, bar.kind, bar.width) for bar in charts.funnel_bars(funnel)]
    assert bars == [
        ("read", 100, "whole", 100.0), ("not drawn", 10, "aside", 10.0), ("empty text", 5, "aside", 5.0),
        ("asked", 85, "whole", 85.0), ("kept, train", 80, "kept", 80.0), ("refused", 5, "rejected", 5.0),
    ]  # fmt: skip
    curve = LossCurve(
        student="s", seed=1, steps=(1, 2, 3), loss=(3.0, 2.0, 1.0), validation_steps=(2, 3), validation=(2.0, 1.5),
        score="macro F1", scores=(None, 0.5), epoch_steps=1, best_step=3,
    )  # fmt: skip
    chart = curve_charts.loss_chart(curve)
    assert chart is not None
    assert (chart.training, chart.validation) == ("0.0,0.0 50.0,50.0 100.0,100.0", "50.0,50.0 100.0,75.0")
    assert (chart.scores, chart.best) == ("100.0,0.0", 100.0)
    nothing = curve_charts.loss_chart(curve.model_copy(update={"scores": (0.0, 0.0)}))
    assert nothing is not None
    assert nothing.scores == "50.0,100.0 100.0,100.0", "a score of 0 all along lies at the foot"
    assert curve_charts.loss_chart(curve.model_copy(update={"steps": (1,), "loss": (1.0,)})) is None
    other = curve.model_copy(update={"seed": 2, "chosen": False})
    assert [[one.curve.seed for one in some] for some in curve_charts.loss_charts([other, curve])] == [[1], [2]]


def test_the_plain_table_is_aligned(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    found = compared(run, evaluation={"metrics": ["accuracy", "coverage", "cost"], "resamples": 100})
    lines = table_lines(grid(found))
    assert [head.strip() for head in re.split(r"\s{2,}", lines[0])] == ["model", "Accuracy", "Coverage"]
    assert len({len(line) for line in lines}) == 1
    print_report(found)
    shown = capsys.readouterr().out
    assert shown.startswith(lines[0])
    assert found.verdicts[0].text() in shown
    draw(found.recipe, grid(found), [])
    assert "teacher" in capsys.readouterr().out


def test_figures_as_people_read_them() -> None:
    assert [numbers.points(value) for value in (0.0041, -0.031, 0.0, -0.0001)] == ["+0.4", "−3.1", "0.0", "0.0"]
    assert [numbers.p_text(p) for p in (0.724, 0.0312, 0.0001)] == ["= 0.72", "= 0.031", "< 0.001"]
    assert [numbers.usd(value) for value in (None, 12.3, 0.0041, 1e-7, 0.0)] == [
        "–",
        "$12.30",
        "$0.0041",
        "< $0.0001",
        "$0.00",
    ]
    assert [numbers.tick_usd(value) for value in (100, 0.01, 1e-5)] == ["$100", "$0.01", "$10⁻⁵"]
    rates = [numbers.rate(value) for value in (None, 45.93, 1210.4, 210_400, 19_970_000)]
    assert rates == ["–", "45.9", "1,210", "210k", "20M"]
    assert numbers.span(Figure(value=0.5)) == ""


def test_markdown_and_json_hold_the_same_figures(run: RunFolder) -> None:
    found = compared(run)
    text = markdown(found)
    assert text.startswith("# tweets\n")
    for model in found.models:
        assert f"| {model.name} | {numbers.percent(model.accuracy.value)}" in text
    stored = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    assert stored["models"][0]["accuracy"]["value"] == found.models[0].accuracy.value


CARD = "---\nlibrary_name: transformers\ntags:\n- tutelage\n---\n\n# tweets: small\n\nText of the card.\n"


def test_cards_get_the_scores_of_their_seed_once(run: RunFolder) -> None:
    places = [run.student("small", 1), run.student("small", 2), run.student("small")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / "README.md").write_text(CARD, encoding="utf-8")
    found = compared(run)
    texts = [(place / "README.md").read_text(encoding="utf-8") for place in places]
    update_cards(eval_runs.recipe_of(), run, found)
    assert [(place / "README.md").read_text(encoding="utf-8") for place in places] == texts, "written again, the same"
    for text, seed in zip(texts, (*found.model("small").seeds, found.model("small").seeds[1]), strict=True):
        head = yaml.safe_load(text.split("---")[1])
        assert head["library_name"] == "transformers"
        metrics = head["model-index"][0]["results"][0]["metrics"]
        assert [(one["type"], one["value"]) for one in metrics] == [
            ("accuracy", round(seed.accuracy or 0, 4)), ("f1", round(seed.macro_f1 or 0, 4)),
        ]  # fmt: skip
        assert text.count(START) == text.count(END) == 1
        assert "Text of the card." in text
    assert found.verdicts[0].text() in texts[2]
    assert found.verdicts[0].text() not in texts[0], "the test was made on the other seed"


def test_a_card_that_was_written_anew_gets_its_scores_back(run: RunFolder) -> None:
    place = run.student("small", 2) / "README.md"
    place.parent.mkdir(parents=True)
    place.write_text(CARD, encoding="utf-8")
    compared(run)
    scored = place.read_text(encoding="utf-8")
    assert START in scored
    place.write_text(CARD, encoding="utf-8")
    compared(run)  # the report is up to date
    assert place.read_text(encoding="utf-8") == scored


def test_rows_without_a_human_label_are_told_apart(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", LabelRow))
    write_rows(run.rows / "test.jsonl", [rows[0].model_copy(update={"gold": None}), *rows[1:]])
    place = run.student("small", 2) / "README.md"
    place.parent.mkdir(parents=True)
    place.write_text(CARD, encoding="utf-8")
    found = compared(run)
    assert "On 44 test rows" in place.read_text(encoding="utf-8")
    assert "43 of them have a human label, for accuracy and F1." in place.read_text(encoding="utf-8")
    text = html(found)
    assert "All models were asked the same 44 rows" in text
    assert "in turn one where the student is right" in text
    assert "| not drawn | 7 |" in markdown(found)


def test_a_card_with_a_broken_head_is_left_alone(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    place = run.student("small", 1)
    place.mkdir(parents=True)
    (place / "README.md").write_text("---\n- a list\n---\ntext\n", encoding="utf-8")
    compared(run)
    assert (place / "README.md").read_text(encoding="utf-8") == "---\n- a list\n---\ntext\n"
    assert "not valid YAML" in capsys.readouterr().err

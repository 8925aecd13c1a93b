"""report.html, report.md, the printed tables and the cards of seq2seq students."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tuple_runs
from test_eval_report import EVIL, Page

from eval.card import END, START, update_cards
from eval.compare import compare
from eval.numbers import percent
from eval.report import print_report, tuple_html
from eval.tuple_comparison import ALL, TupleComparison
from eval.tuple_markdown import tuple_markdown
from eval.tuple_rows import OWN
from eval.tuple_table import seed_grid, set_grid, shown_metrics, slice_grid
from recipes.runs import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return tuple_runs.ready(tmp_path_factory.mktemp("tuples"), tuple_runs.recipe_of())


@pytest.fixture(scope="module")
def found(run: RunFolder) -> TupleComparison:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
        patch.setattr("eval.tuple_predict.free_memory", lambda: None)
        made = compare(tuple_runs.recipe_of(), run)
    assert isinstance(made, TupleComparison)
    return made


def test_the_page_loads_nothing_and_runs_nothing(found: TupleComparison) -> None:
    text = tuple_html(found)
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "href", "style"} & set(attributes)
    assert not re.search(r"url\(|@import|https?://", text)


def test_every_figure_is_on_every_page(found: TupleComparison) -> None:
    page, text = tuple_html(found), tuple_markdown(found)
    for part in found.sets:
        grids = (set_grid(found, part.dataset), seed_grid(found, part.dataset), slice_grid(found, part))
        for line in (line for grid in grids if grid is not None for line in grid.lines):
            for cell in line.cells:
                assert cell.main.replace("<", "&lt;") in page
                assert cell.main.replace("<", "&lt;") in text
    for verdict in found.verdicts:
        assert verdict.claim in page.replace("&#39;", "'")
        assert verdict.text() in text
    for heading in ("Side by side", "Texts and tuples", "From examples to rows"):
        assert heading in page


def test_the_course_of_training_is_drawn(found: TupleComparison) -> None:
    """Of each student the seed that validation chose, the others folded away; what chose its epoch is said."""
    page = tuple_html(found)
    shown, folded = page.split("Seeds that validation did not choose: 3")
    for text in ("reader, seed 2", "helped, seed 2", "plain, seed 2", "sorter, seed 1"):
        assert f"<h3>{text}</h3>" in shown
    assert "<h3>helped, seed 1</h3>" in folded
    assert shown.count("kept: epoch 2 of 2, by micro F1") == 4
    assert "micro F1 25.0% → 50.0%" in shown
    assert "validation 2.00 → 1.00" in shown


def test_words_of_models_stay_words(found: TupleComparison) -> None:
    first = found.examples[0]
    answers = tuple(one.model_copy(update={"right": (EVIL,), "wrong": (EVIL,)}) for one in first.answers)
    evil = first.model_copy(update={"text": EVIL, "gold": (EVIL,), "answers": answers})
    changed = found.model_copy(update={"examples": (evil,), "about": EVIL})
    text = tuple_html(changed)
    assert "<script" not in text
    assert "<img" not in text
    assert "<script" not in tuple_markdown(changed).replace(f"{EVIL}\n\n", "")


def test_a_slice_with_every_row_says_nothing_new(found: TupleComparison) -> None:
    part = next(one for one in found.sets if one.dataset == "terms")
    table = slice_grid(found, part)
    assert table is not None
    assert [head for head, _ in table.heads] == ["rows", "helped", "plain", "lexicon"]
    assert [(line.name, line.cells[0].line()) for line in table.lines] == [("mixed", "10 (few)")]
    result = found.result("terms", "mixed", "helped")
    assert result is not None
    assert table.lines[0].cells[1].main == percent(result.figure("f1").value)
    assert slice_grid(found, part.model_copy(update={"slices": {ALL: part.rows, "mixed": part.rows}})) is None


def test_what_a_table_says_is_explained(found: TupleComparison) -> None:
    text, page = tuple_markdown(found), tuple_html(found)
    for words in ("mixed: texts with more than one polarity.", "few: fewer than 50 rows, read the interval."):
        assert words in text and words in page
    assert "## What the figures are" in text and "- Recall: share of the gold tuples that it named." in text
    assert "else students beside one another, or beside the baselines, on one dataset" in text


def test_only_metrics_that_somebody_has(found: TupleComparison) -> None:
    assert {"f1", "precision", "recall", "invalid", "f1_strict", "truncated"} <= set(shown_metrics(found, "terms"))
    assert "accuracy" not in shown_metrics(found, "terms")
    assert {"parsed", "rouge_l", "chrf"} <= set(shown_metrics(found, OWN))
    assert {"accuracy", "macro_f1", "opinions"} <= set(shown_metrics(found, "moods"))


def test_the_tables_are_printed(found: TupleComparison, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(found)
    out = capsys.readouterr().out
    for name in ("helped", "plain", "lexicon", "one_vs_rest", "reader", "vader"):
        assert name in out
    assert out.count("helped is better than plain") == 1
    assert "Note: Few test rows" in out


def test_cards_have_the_scores_of_their_seed(found: TupleComparison, run: RunFolder) -> None:
    recipe = tuple_runs.recipe_of()
    card = run.student("helped", 1) / "README.md"
    text = card.read_text(encoding="utf-8")
    assert text.count(START) == text.count(END) == 1
    assert "Micro F1, terms" in text
    assert "Strict micro F1 (invalid counted as wrong), terms" in text
    assert "terms, seed 1" in text
    assert "helped is better than plain" in (run.student("helped") / "README.md").read_text(encoding="utf-8")
    update_cards(recipe, run, found)
    assert card.read_text(encoding="utf-8") == text


def test_it_says_what_a_reader_must_know(found: TupleComparison) -> None:
    said = " ".join(found.warnings)
    assert "closeness to the teacher" in said
    assert "Trained with one seed: sorter" in said
    assert "answered in bf16; in fp32, as the weights are saved, a few answers may be others." in said
    assert "is invalid and left out of F1" in said
    assert "did not end by themselves" in said


def test_numbers_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single test row and a single student: no crash, no NaN, no plural."""
    monkeypatch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
    changes: dict[str, Any] = {"students": {"plain": tuple_runs.student_of(data="terms", seeds=(1,))}}
    recipe = tuple_runs.recipe_of(**changes)
    run = RunFolder(tmp_path)
    tuple_runs.make_rows(run, train=6, test=1)
    tuple_runs.make_student(run, recipe, "plain")
    made = compare(recipe, run)
    assert isinstance(made, TupleComparison)
    text = tuple_markdown(made)
    assert "1 test row," in text
    assert "nan" not in text.lower()
    assert "nan" not in tuple_html(made).lower().replace("finance", "")

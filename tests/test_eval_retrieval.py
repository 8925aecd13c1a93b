"""python -m eval on a recipe that retrieves: questions made or brought along, scores, and the three reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rag_runs import RECIPE, WordEmbedder, product, shop, without_model

from eval.__main__ import main
from eval.query_set import OFF_TOPIC_KIND, fitted_on, open_queries, queries_path
from eval.retrieval_page import read_retrieval
from eval.retrieval_report import RetrievalReport
from eval.score_retrieval import score_retrieval
from eval.searching import Searched, Searcher
from rag.indexing import build_index
from recipes.errors import RecipeError, RunError, SourceError
from recipes.load import load_recipe
from recipes.queries import Query, read_queries
from recipes.rows import read_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe

ALONE = "name: shop\n" + RECIPE[RECIPE.index("retrieval:") :]
"""The catalogue, with no rows and no students."""
QUICK = "evaluation: {resamples: 100, retrieval: {questions: 40}}\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    without_model(monkeypatch)
    monkeypatch.setattr("eval.searching.open_embedder", WordEmbedder)
    return RunFolder(tmp_path / "run")


def shop_of(folder: Path, text: str = ALONE + QUICK, products: int = 60) -> Recipe:
    return shop(folder, [product(n) for n in range(products)], text=text)


def own(folder: Path, *lines: Any, **keys: str) -> Recipe:
    """A recipe with a query set of the user's own."""
    (folder / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    section = json.dumps({"resamples": 100, "retrieval": {"path": "mine.jsonl", **keys}})
    return shop_of(folder, f"{ALONE}evaluation: {section}\n")


def scored(recipe: Recipe, run: RunFolder) -> RetrievalReport:
    build_index(recipe, run)
    return score_retrieval(recipe, run)


def test_questions_are_made_from_the_catalogue_and_scored(run: RunFolder, tmp_path: Path) -> None:
    report = scored(shop_of(tmp_path), run)
    assert (report.answerable, report.unanswerable, report.documents) == (40, 8, 60)
    assert report.queries == "made from the catalogue"
    assert "easier than a shopper's" in report.warnings[0]
    whole = report.of("hybrid")
    assert whole is not None
    assert 0.5 < (whole.figures["recall@10"].value or 0) <= 1
    assert {one.kind for one in report.scores} >= {"", "title", "keywords", "phrase"}
    assert report.abstention.withheld.value is not None
    searches = list(read_rows(run.path / "retrieval" / "searches.jsonl", Searched))
    assert len(searches) == 48
    by_hand = sum(next(iter(one.relevant)) in one.hybrid[:10] for one in searches if one.useful) / 40
    assert whole.figures["recall@10"].value == pytest.approx(by_hand)
    assert 0 < report.milliseconds_median <= report.milliseconds_p95


def test_the_reports_hold_the_figures(run: RunFolder, tmp_path: Path) -> None:
    report = scored(shop_of(tmp_path), run)
    whole = report.of("hybrid")
    assert whole is not None
    figure = f"{100 * (whole.figures['recall@10'].value or 0):.1f}%"
    page = (run.path / "retrieval.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    for text in (page, (run.path / "retrieval.md").read_text(encoding="utf-8")):
        assert figure in text
        assert "vectors alone" in text
        assert "words alone (BM25)" in text
        assert "the questions that the catalogue answers" in text
        assert "off topic" in text
    assert "<script" not in page
    assert read_retrieval(run) == report


def test_the_second_time_nothing_is_searched(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = shop_of(tmp_path)
    first = scored(recipe, run)
    monkeypatch.setattr("eval.score_retrieval.Searcher", None)
    assert score_retrieval(recipe, run) == first
    assert f"retrieval: up to date ({run.path / 'retrieval.html'})" in capsys.readouterr().err


@pytest.mark.parametrize("override", ["retrieval.top_k=3", "evaluation.seed=7", "evaluation.retrieval.questions=30"])
def test_what_changes_the_scores_has_them_made_again(run: RunFolder, tmp_path: Path, override: str) -> None:
    from recipes.stages import report_inputs, retrieval_inputs

    recipe = shop_of(tmp_path)
    other = load_recipe(str(tmp_path / "shop.yaml"), [override])
    assert retrieval_inputs(recipe, run) != retrieval_inputs(other, run)
    bounded = load_recipe(str(tmp_path / "shop.yaml"), ["evaluation.retrieval.budget_usd=1"])
    assert retrieval_inputs(recipe, run) == retrieval_inputs(bounded, run), "a cap changes no answer"
    if "retrieval.questions" in override:
        assert report_inputs(recipe, run) == report_inputs(other, run), "nor the comparison of models"


def test_the_made_questions_are_about_other_documents_than_the_thresholds(run: RunFolder, tmp_path: Path) -> None:
    recipe = shop_of(tmp_path, products=300)
    build_index(recipe, run)
    with Searcher(recipe, run) as searcher:
        made = open_queries(recipe, run, searcher.index)
        fitted = {document.id for document in fitted_on(searcher.index)}
    about = {name for query in made.queries for name in query.relevant}
    assert len(fitted) == 240
    assert about
    assert not about & fitted
    assert len(made.notes) == 1
    assert len({query.query for query in made.queries}) == len(made.queries) == 48


def test_made_questions_can_be_edited_and_used_as_ones_own(run: RunFolder, tmp_path: Path) -> None:
    first = scored(shop_of(tmp_path), run)
    text = queries_path(run).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line for line in lines if line["kind"] == OFF_TOPIC_KIND and line["relevant"]] == []
    report = scored(own(tmp_path, *lines), run)
    assert (report.queries, report.answerable, report.unanswerable) == ("mine.jsonl", 40, 8)
    assert report.of("hybrid") == first.of("hybrid")
    assert report.abstention.withheld.value is None, "of one's own questions nothing is withheld"
    assert not any("easier" in warning for warning in report.warnings)


def test_a_users_questions_with_grades_numbers_and_kinds(run: RunFolder, tmp_path: Path) -> None:
    recipe = own(
        tmp_path,
        {"text": "Lamp  model 7", "docs": {"p7": 2, "p8": 0}, "sort": "exact"},
        {"text": "a pony", "docs": []},
        query="text",
        relevant="docs",
        kind="sort",
    )
    assert read_queries(tmp_path / "mine.jsonl", recipe.evaluation.retrieval) == [
        Query(query="Lamp model 7", relevant={"p7": 2.0, "p8": 0.0}, kind="exact"),
        Query(query="a pony", relevant={}),
    ]
    report = scored(recipe, run)
    assert (report.answerable, report.unanswerable) == (1, 1)
    assert any("Only 1 with an answer" in warning for warning in report.warnings)


def test_documents_that_are_not_in_the_catalogue_are_counted(run: RunFolder, tmp_path: Path) -> None:
    lines = [
        {"query": "Lamp model 7", "relevant": ["p7", "gone"]},
        {"query": "Lamp model 9", "relevant": ["lost"]},
        {"query": "a pony", "relevant": []},
    ]
    report = scored(own(tmp_path, *lines), run)
    assert (report.answerable, report.unanswerable) == (1, 1)
    said = "names documents that are not in the catalogue: 2, such as gone. They count nowhere. Questions left out for"
    assert any(said in warning for warning in report.warnings)
    with pytest.raises(RunError, match="none of its documents is in the catalogue: its ids are to be those of"):
        scored(own(tmp_path, {"query": "Lamp model 9", "relevant": ["lost"]}), run)


def test_questions_without_an_answer_alone_are_scored_by_what_is_refused(run: RunFolder, tmp_path: Path) -> None:
    report = scored(own(tmp_path, *({"query": f"a pony {n}", "relevant": []} for n in range(5))), run)
    assert (report.answerable, report.unanswerable, report.of("hybrid"), report.pairs) == (0, 5, None, ())
    assert report.abstention.let_through.value is not None
    assert "of those through that it does not answer" in (run.path / "retrieval.html").read_text(encoding="utf-8")
    assert any("retrieval cannot be scored" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"question": "x", "relevant": []}, "there is no 'query'; the line holds question, relevant"),
        ({"query": "x"}, "there is no 'relevant'; the line holds query"),
        ({"query": " ", "relevant": []}, "'query' must be a question: text that is not empty"),
        ({"query": "x", "relevant": "p1"}, "'relevant' must be a list of ids of documents"),
        ({"query": "x", "relevant": [None]}, "'relevant' holds None, which is no id"),
        ({"query": "x", "relevant": {"p1": -1}}, "the grade of p1 must be a number from 0 (of no use) to 10"),
        ({"query": "x", "relevant": {"p1": True}}, "the grade of p1 must be a number"),
        ({"query": "x", "relevant": [], "kind": 3}, "'kind' must be a word"),
        ({"query": "x" * 4001, "relevant": []}, "'query' has 4,001 characters"),
        ({"query": "good  one", "relevant": []}, "the question stands in line 1 already"),
        ([1], "a line must hold one JSON object"),
    ],
)
def test_mistakes_in_a_users_file_are_named_by_line(tmp_path: Path, line: Any, said: str) -> None:
    recipe = own(tmp_path, {"query": "good one", "relevant": [1, 2.0, "3"]}, line)
    with pytest.raises(SourceError) as refused:
        read_queries(tmp_path / "mine.jsonl", recipe.evaluation.retrieval)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.jsonl'}:2: ")
    assert said in str(refused.value)


def test_all_mistakes_are_told_at_once_before_anything_is_done(run: RunFolder, tmp_path: Path) -> None:
    own(tmp_path, {"query": ""}, {"query": "x", "relevant": []}, {"relevant": []})
    with pytest.raises(SourceError) as refused:
        main([str(tmp_path / "shop.yaml"), "--run", str(run.path)])
    assert [line.split(":")[1] for line in str(refused.value).splitlines()] == ["1", "3"]
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evaluation: {retrieval: {path: none.jsonl}}", "evaluation.retrieval.path: there is no file"),
        ("evaluation: {retrieval: {path: shop.yaml}}", "a query set is a file of JSON lines (.jsonl)"),
    ],
)
def test_a_file_that_cannot_be_is_found_by_the_recipes_check(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        shop_of(tmp_path, f"{ALONE}{text}\n")
    assert said in str(refused.value)


def test_the_command_brings_the_index_up_to_date_and_shows_a_table(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop_of(tmp_path)
    assert main([str(tmp_path / "shop.yaml"), "--run", str(run.path)]) == 0
    shown = capsys.readouterr()
    assert "index: 60 documents in 60 pieces" in shown.err
    assert shown.err.endswith(f"retrieval: {run.path / 'retrieval.html'}, questions: {queries_path(run)}\n")
    head, _, *lines = shown.out.splitlines()
    assert head.split() == ["search", "Recall@1", "Recall@4", "Recall@10", "MRR@10", "nDCG@10"]
    assert [line.partition("  ")[0] for line in lines[:3]] == [
        "recipe's search", "vectors alone", "words alone (BM25)",
    ]  # fmt: skip
    assert "It refuses" in shown.out


def test_a_recipe_without_a_catalogue_is_told_so(tmp_path: Path) -> None:
    shop_of(tmp_path, RECIPE.partition("retrieval:")[0])
    with pytest.raises(RunError, match="the recipe shop has no section retrieval"):
        main([str(tmp_path / "shop.yaml"), "--retrieval", "--run", str(tmp_path / "run")])

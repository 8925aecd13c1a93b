"""The comparison of seq2seq students: keyed by dataset, slice and seed; paired; on the rows of four datasets."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import tuple_runs

from eval.compare import compare
from eval.intervals import holm
from eval.tuple_comparison import ALL, TupleComparison
from eval.tuple_pairs import is_distilled
from eval.tuple_predict import Writing, read_answer
from eval.tuple_rows import OWN
from eval.tuple_scores import sentiment_of
from recipes.errors import RunError
from recipes.rows import read_rows, write_rows
from recipes.runs import RunFolder
from recipes.tuple_counts import count_tuples, sum_counts

PAIR = {name: tuple_runs.STUDENTS[name] for name in ("reader", "helped", "plain")}
"""Students of one dataset: quicker than all of them."""


@pytest.fixture(autouse=True)
def _stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
    monkeypatch.setattr("eval.tuple_predict.free_memory", lambda: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, TupleComparison]:
    """All students compared: not to be written to."""
    run = tuple_runs.ready(tmp_path_factory.mktemp("tuples"), tuple_runs.recipe_of())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
        found = compare(tuple_runs.recipe_of(), run)
    assert isinstance(found, TupleComparison)
    return run, found


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return tuple_runs.ready(tmp_path, tuple_runs.recipe_of(students=PAIR))


def compared(run: RunFolder, **changes: Any) -> TupleComparison:
    found = compare(tuple_runs.recipe_of(**{"students": PAIR} | changes), run)
    assert isinstance(found, TupleComparison)
    return found


def test_results_are_keyed_by_dataset_slice_and_seed_and_never_mixed(whole: tuple[RunFolder, TupleComparison]) -> None:
    """The published code put datasets and seeds into one average; here each mean is that of its own seeds."""
    _, found = whole
    keys = [(one.dataset, one.slice, one.model, by.seed) for one in found.results for by in one.seeds]
    assert len(keys) == len(set(keys))
    for one in found.results:
        for measure, figure in one.figures.items():
            values = [by.figures[measure] for by in one.seeds]
            known = [value for value in values if value is not None]
            if len(known) == len(values):
                assert figure.value == pytest.approx(statistics.fmean(known))
            else:
                assert figure.value is None, "no mean over some of the seeds"
    assert {one.dataset for one in found.results} == {OWN, "terms", "kinds", "moods"}
    assert not {"average", "mean", "overall"} & {one.dataset for one in found.results}


def test_one_seed_on_one_slice_by_hand(whole: tuple[RunFolder, TupleComparison]) -> None:
    run, found = whole
    rows = list(read_rows(run.of_dataset("terms").rows / "test.jsonl", tuple_runs.AspectRow))
    for seed in (1, 2):
        lines = list(read_rows(run.path / "predictions" / f"terms.plain.seed-{seed}.atsa.jsonl", Writing))
        assert [line.id for line in lines] == [row.id for row in rows]
        for name, chosen in ((ALL, rows), ("mixed", [row for row in rows if row.slices["mixed"] == "yes"])):
            said = {line.id: line for line in lines}
            counts = sum_counts(
                count_tuples(
                    [(a.target or "", a.polarity) for a in row.aspects], said[row.id].tuples, said[row.id].invalid
                )
                for row in chosen
            )
            result = found.result("terms", name, "plain")
            assert result is not None and result.rows == len(chosen)
            figures = next(one.figures for one in result.seeds if one.seed == seed)
            assert figures["f1"] == pytest.approx(counts.f1)
            assert figures["invalid"] == pytest.approx(counts.invalid_rate)


def test_with_and_without_distillation_are_paired_on_their_dataset(whole: tuple[RunFolder, TupleComparison]) -> None:
    _, found = whole
    (pair,) = [one for one in found.pairs if one.family == "distillation"]
    assert (pair.first, pair.second, pair.dataset, pair.measure) == ("helped", "plain", "terms", "f1")
    assert pair.seeds == (1, 2)
    first, second = (found.result("terms", ALL, name) for name in ("helped", "plain"))
    assert first is not None and second is not None
    assert pair.difference.value == pytest.approx((first.figure("f1").value or 0) - (second.figure("f1").value or 0))
    assert pair.p < 0.05
    assert found.verdicts[0].claim.startswith("helped is better than plain by ")
    beside = {(one.dataset, one.first, one.second) for one in found.pairs if one.family == "baselines"}
    assert beside == {
        ("terms", "helped", "lexicon"), ("terms", "plain", "lexicon"), ("kinds", "sorter", "one_vs_rest"),
        ("moods", "reader", "majority"), ("moods", "reader", "vader"),
    }  # fmt: skip


def test_holms_correction_is_within_a_dataset_and_measure(whole: tuple[RunFolder, TupleComparison]) -> None:
    _, found = whole
    for dataset, tests in (("terms", 2), ("kinds", 1), ("moods", 2)):
        pairs = [one for one in found.pairs if (one.family, one.dataset) == ("baselines", dataset)]
        assert len(pairs) == tests
        assert [one.p_holm for one in pairs] == pytest.approx(holm([one.p for one in pairs]))
        said = {one.figures for one in found.verdicts if f"beside the baselines on {dataset}," in one.claim}
        assert said == {"paired bootstrap" + (f", Holm's correction for {tests} tests" if tests > 1 else "")}


def test_only_seeds_that_both_have_are_compared(tmp_path: Path) -> None:
    students = PAIR | {"plain": tuple_runs.student_of(data="terms", seeds=(2, 3))}
    recipe = tuple_runs.recipe_of(students=students)
    found = compare(recipe, tuple_runs.ready(tmp_path, recipe))
    assert isinstance(found, TupleComparison)
    (pair,) = [one for one in found.pairs if one.family == "distillation"]
    assert pair.seeds == (2,)
    both = [found.result("terms", ALL, name) for name in ("helped", "plain")]
    of_two = [next(by.figures["f1"] for by in one.seeds if by.seed == 2) for one in both if one is not None]
    assert (pair.first_value, pair.second_value) == (pytest.approx(of_two[0]), pytest.approx(of_two[1]))


def test_students_without_a_common_seed_are_said_to_be_apart(tmp_path: Path) -> None:
    students = PAIR | {"plain": tuple_runs.student_of(data="terms", seeds=(3,))}
    recipe = tuple_runs.recipe_of(students=students)
    found = compare(recipe, tuple_runs.ready(tmp_path, recipe))
    assert isinstance(found, TupleComparison)
    assert not [one for one in found.pairs if one.family == "distillation"]
    assert any("no seed in common" in one for one in found.warnings)


def test_another_share_is_another_question(tmp_path: Path) -> None:
    """Students of a tenth of the rows are not tested against those of all of them; shares have a table."""
    few = {"few": tuple_runs.student_of(data="terms", share=0.1), "few-helped": tuple_runs.student_of(
        base="students.reader", data="terms", share=0.1)}  # fmt: skip
    recipe = tuple_runs.recipe_of(students=PAIR | few)
    found = compare(recipe, tuple_runs.ready(tmp_path, recipe))
    assert isinstance(found, TupleComparison)
    tested = {(one.first, one.second) for one in found.pairs if one.family != "baselines"}
    assert tested == {("helped", "plain"), ("few-helped", "few")}
    from eval.tuple_charts import share_chart
    from eval.tuple_table import share_grid

    grid, chart = share_grid(found, "terms"), share_chart(found, "terms")
    assert grid is not None and chart is not None
    assert [line.name for line in grid.lines] == ["10% of the train rows", "100% of the train rows"]
    assert [head for head, _ in grid.heads] == ["students.reader", "scratch"]
    assert [len(line.dots) for line in chart.lines] == [2, 2]
    assert share_grid(found, "moods") is None


def test_students_of_understanding_beside_their_teacher(whole: tuple[RunFolder, TupleComparison]) -> None:
    _, found = whole
    result = found.result(OWN, ALL, "reader")
    assert result is not None
    assert {"f1", "parsed", "rouge_l", "chrf", "truncated"} <= set(result.figures)
    assert 0.5 < (result.figure("f1").value or 0) < 0.9, "three in ten analyses are wrong"
    assert 0 < (result.figure("truncated").value or 0) < 0.3, "cut off: three in ten rewrites, half of the answers"
    assert [one.name for one in found.models if one.dataset == OWN] == ["reader"], (
        "a teacher of no known cost has no line"
    )
    reader = found.model("reader", OWN)
    assert reader.seconds_per_1000 is not None and reader.usd_per_1000 is not None


def test_sentiment_without_having_been_taught_it(whole: tuple[RunFolder, TupleComparison]) -> None:
    _, found = whole
    result = found.result("moods", ALL, "reader")
    assert result is not None
    accuracy = result.figure("accuracy")
    assert accuracy.value is not None and accuracy.low is not None and accuracy.low <= accuracy.value
    assert {one.model for one in found.of("moods")} == {"reader", "majority", "vader"}


@pytest.mark.parametrize(
    ("grades", "label"),
    [
        ([], "neutral"),
        (["neutral"], "neutral"),
        (["very positive", "negative"], "positive"),
        (["positive", "negative"], "neutral"),
        (["positive", "negative", "very negative"], "negative"),
    ],
)
def test_the_label_is_the_sign_of_the_mean_grade(grades: list[str], label: str) -> None:
    assert sentiment_of([("x", grade) for grade in grades]) == label


def test_answers_are_kept_while_nothing_changed(run: RunFolder) -> None:
    compared(run)
    asked = tuple_runs.FakeWriter.asked
    compared(run)
    compared(run, evaluation={"resamples": 100})
    assert tuple_runs.FakeWriter.asked == asked, "another number of draws asks nobody"


def test_an_answer_that_was_written_before_a_kill_is_not_written_again(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(tuple_runs.FakeWriter):
        def write(self, texts: Any, target: Any) -> Any:
            if tuple_runs.FakeWriter.asked > 16:
                raise KeyboardInterrupt
            return super().write(texts, target)

    monkeypatch.setattr("eval.tuple_predict.WINDOW", 5)
    monkeypatch.setattr("eval.tuple_predict.open_writer", lambda run, name, seed: Dies(name, seed, 0.3))
    tuple_runs.FakeWriter.asked = 0
    with pytest.raises(KeyboardInterrupt):
        compared(run)
    (left,) = (run.path / "predictions").glob("*.unfinished.jsonl")
    assert len(left.read_text(encoding="utf-8").splitlines()) == 15
    monkeypatch.setattr("eval.tuple_predict.open_writer", tuple_runs.open_fake)
    compared(run)
    assert not list((run.path / "predictions").glob("*.unfinished.jsonl"))


def test_answers_to_other_rows_are_refused(run: RunFolder) -> None:
    compared(run)
    path = run.path / "predictions" / "terms.plain.seed-1.atsa.jsonl"
    lines = list(read_rows(path, Writing))
    write_rows(path, [lines[1], lines[0], *lines[2:]])
    run.manifest_path("report").unlink()
    with pytest.raises(RunError, match="does not answer the test rows of terms"):
        compared(run)


def test_a_dataset_that_nobody_learns_is_told(tmp_path: Path) -> None:
    recipe = tuple_runs.recipe_of(students={name: tuple_runs.STUDENTS[name] for name in ("reader", "plain")})
    found = compare(recipe, tuple_runs.ready(tmp_path, recipe))
    assert any("can answer kinds: not scored" in one for one in found.warnings)


def test_who_is_distilled() -> None:
    recipe = tuple_runs.recipe_of()
    assert {name: is_distilled(recipe, name) for name in recipe.students} == {
        "reader": False, "helped": True, "plain": False, "sorter": False,
    }  # fmt: skip


def test_a_teacher_with_a_price_stands_beside_its_students(run: RunFolder) -> None:
    teacher = {"provider": "endpoint", "model": "big-model", "base_url": "http://127.0.0.1:9/v1"}
    found = compared(run, teacher=teacher | {"price": {"input": 1, "output": 2}})
    priced = found.model("teacher", OWN)
    assert priced.usd_per_1000 == pytest.approx((900 * 1 + 300 * 2) / 1e6 / 58 * 1000)  # tokens of 58 rows


def test_draws_that_are_too_few_for_so_many_comparisons_are_said(run: RunFolder) -> None:
    """The smallest p of n draws is 2 / (n + 1): times the 2 comparisons with baselines, 2% with 200 and 4% with 100."""
    few, enough = (compared(run, evaluation={"resamples": draws, "confidence": 0.97}).warnings for draws in (100, 200))
    said = "100 draws are too few for 2 comparisons: after Holm's correction no difference could be told from chance. "
    assert said + "Set evaluation.resamples to 300 or more." in few
    assert not any("draws are too few" in one for one in enough)


def test_a_teacher_is_left_out_where_the_recipe_does(run: RunFolder) -> None:
    found = compared(run, evaluation={"models": ["plain", "helped", "lexicon"], "resamples": 100})
    assert {one.name for one in found.models} == {"plain", "helped", "lexicon"}
    assert [one.dataset for one in found.sets] == ["terms"]


def test_the_report_is_json_that_comes_back(whole: tuple[RunFolder, TupleComparison]) -> None:
    from eval.report import read_report

    run, found = whole
    assert read_report(run) == found
    held = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    assert "NaN" not in json.dumps(held)


def test_an_answer_that_says_nothing_is_invalid() -> None:
    assert read_answer("", "A soup.", "atsa") == ((), 1)
    assert read_answer("none", "A soup.", "atsa") == ((), 0)

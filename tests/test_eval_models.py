"""Who is compared, the baselines, and predictions on disk."""

from __future__ import annotations

from pathlib import Path

import eval_runs
import numpy as np
import pytest

from eval.baselines import applicable, open_baseline, why_not
from eval.metrics import MISSING
from eval.models import baseline_entrant, roster, student_entrants
from eval.predict import Prediction, answers_of, teacher_answers
from eval.scored import count_funnel, read_scored
from finetune.record import read_record
from recipes.errors import RecipeError, RunError, SourceError
from recipes.rows import LabelRow, read_rows, write_rows

LABELS = eval_runs.LABELS


def test_every_test_row_the_teacher_was_asked_is_scored(tmp_path: Path) -> None:
    run = eval_runs.run_in(tmp_path)
    kept = eval_runs.make_rows(run, test=20, unanswered=3)
    scored = read_scored(eval_runs.recipe_of(), run)
    assert scored.ids == (*(row.id for row in kept), "bad-0", "bad-1", "bad-2")
    assert scored.teacher.tolist()[-3:] == [MISSING] * 3
    assert scored.gold.tolist()[-3:] == [0, 0, 0]
    assert [LABELS[place] for place in scored.teacher[:20]] == [row.label for row in kept]
    assert scored.teacher_soft is None, "one vote says nothing about confidence"


def test_vote_shares_are_the_teachers_probabilities(tmp_path: Path) -> None:
    run = eval_runs.run_in(tmp_path)
    kept = eval_runs.make_rows(run, test=5, unanswered=1, votes=3)
    recipe = eval_runs.recipe_of(synthesis={"prompt": "sentiment-word", "votes": 3})
    scored = read_scored(recipe, run)
    assert scored.teacher_soft is not None
    assert scored.teacher_soft[:5].tolist() == [list(row.soft) for row in kept]
    assert np.isnan(scored.teacher_soft[5]).all()


def test_the_funnel_adds_up(tmp_path: Path) -> None:
    run = eval_runs.run_in(tmp_path)
    eval_runs.make_rows(run, train=30, test=20, unanswered=3)
    funnel = count_funnel(run)
    assert funnel.kept == {"train": 30, "validation": 10, "test": 20}
    assert funnel.rejected == {"malformed": 3, "refused": 1}
    assert funnel.set_aside == {"empty_text": 1}
    assert funnel.asked == sum(funnel.kept.values()) + sum(funnel.rejected.values())


def test_rows_that_cannot_be_scored_are_refused(tmp_path: Path) -> None:
    run, recipe = eval_runs.run_in(tmp_path), eval_runs.recipe_of()
    with pytest.raises(RunError, match="run python -m synth"):
        read_scored(recipe, run)
    row = eval_runs.row_of(1, "test", 0, 0)
    write_rows(run.rows / "test.jsonl", [row, row])
    with pytest.raises(RunError, match="'test-1' is there twice"):
        read_scored(recipe, run)
    write_rows(run.rows / "test.jsonl", [row.model_copy(update={"gold": "angry"})])
    with pytest.raises(SourceError, match="'angry' is not a label"):
        read_scored(recipe, run)
    write_rows(run.rows / "test.jsonl", [])
    with pytest.raises(RunError, match="no test row"):
        read_scored(recipe, run)
    source = recipe.source.model_copy(update={"test": 0})
    with pytest.raises(RunError, match=r"source\.test is 0; raise it"):
        read_scored(recipe.model_copy(update={"source": source}), run)


def test_baselines_that_do_not_apply_are_left_out_and_refused_when_named(tmp_path: Path) -> None:
    run = eval_runs.run_in(tmp_path)
    rows = [row.model_copy(update={"gold": None}) for row in (eval_runs.row_of(n, "train", 0, 0) for n in range(20))]
    write_rows(run.rows / "train.jsonl", rows)
    recipe = eval_runs.recipe_of(labels=("Negative", "Neutral", "POSITIVE"))
    assert applicable(recipe, run) == ["majority", "vader", "tfidf"]
    assert roster(recipe, run) == ["teacher", "small", "majority", "vader", "tfidf"]
    other = eval_runs.recipe_of(
        labels=("bad", "good"), evaluation={"models": ["vader", "tfidf_gold", "big", "teacher"]}
    )
    with pytest.raises(RecipeError) as refused:
        roster(other, run)
    vader, gold, nobody = refused.value.mistakes
    assert "vader does not apply here: it knows the labels negative, neutral and positive" in vader
    assert "tfidf_gold does not apply here: it needs train rows of two labels" in gold
    assert "'big' is nobody to compare; known are teacher, small" in nobody
    assert why_not(recipe, run, "majority") is None


def test_majority_and_vader(tmp_path: Path) -> None:
    run = eval_runs.run_in(tmp_path)
    row = eval_runs.row_of(0, "train", 0, 0)
    said = ["positive", "negative", "positive", None]
    write_rows(
        run.rows / "train.jsonl", [row.model_copy(update={"id": str(n), "label": one}) for n, one in enumerate(said)]
    )
    recipe = eval_runs.recipe_of()
    assert open_baseline(recipe, run, "majority")(["a", "b"]).predicted.tolist() == [2, 2]
    texts = ["I love this, it is great!", "The bus leaves at noon", "I hate this, it is awful"]
    assert open_baseline(recipe, run, "vader")(texts).predicted.tolist() == [2, 1, 0]


def test_tfidf_learns_the_words_and_keeps_the_recipes_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, recipe = eval_runs.run_in(tmp_path), eval_runs.recipe_of()
    eval_runs.make_rows(run, train=150)
    answers = open_baseline(recipe, run, "tfidf_gold")(["so happy and lovely", "awful and terrible"])
    assert answers.predicted.tolist() == [2, 0]
    assert answers.probabilities is not None
    assert answers.probabilities.sum(axis=1) == pytest.approx([1, 1])
    no_words = [eval_runs.row_of(n, "train", 0, 0).model_copy(update={"text": "!"}) for n in range(9)]
    write_rows(run.rows / "train.jsonl", no_words)
    with pytest.raises(RunError, match="tfidf baseline cannot learn"):
        open_baseline(recipe, run, "tfidf")
    assert applicable(recipe, run) == ["majority", "vader"], "nobody named it: the report is made without it"
    assert "without the baseline tfidf: no train row has a word of two letters" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="tfidf does not apply here: no train row has a word"):
        roster(eval_runs.recipe_of(evaluation={"models": ["tfidf"]}), run)


def test_predictions_are_kept_and_made_again_when_their_inputs_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    run, recipe = eval_runs.run_in(tmp_path), eval_runs.recipe_of()
    eval_runs.make_rows(run)
    eval_runs.make_student(run)
    scored = read_scored(recipe, run)
    first, second = student_entrants(recipe, run, read_record(run, "small"))
    made = answers_of(first, run, scored, LABELS)
    asked = eval_runs.FakeStudent.asked
    again = answers_of(first, run, scored, LABELS)
    assert eval_runs.FakeStudent.asked == asked, "read from disk"
    assert again.predicted.tolist() == made.predicted.tolist()
    assert again.probabilities is not None
    assert made.probabilities is not None
    assert (again.probabilities == made.probabilities).all()
    assert again.rows_per_second == made.rows_per_second
    lines = list(read_rows(run.path / "predictions" / "small.seed-1.jsonl", Prediction))
    assert [line.id for line in lines] == list(scored.ids)
    assert [line.prediction for line in lines] == [LABELS[place] for place in made.predicted]
    eval_runs.make_student(run, best=1)  # trained again
    answers_of(student_entrants(recipe, run, read_record(run, "small"))[0], run, scored, LABELS)
    assert eval_runs.FakeStudent.asked > asked
    assert second.stem() == "small.seed-2"


def test_predictions_for_other_rows_are_not_used(tmp_path: Path) -> None:
    run, recipe = eval_runs.run_in(tmp_path), eval_runs.recipe_of()
    eval_runs.make_rows(run)
    entrant = baseline_entrant(recipe, run, "vader")
    answers_of(entrant, run, read_scored(recipe, run), LABELS)
    path = run.path / "predictions" / "vader.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]), encoding="utf-8")  # same size, so still "up to date"
    with pytest.raises(RunError, match="does not answer the rows"):
        answers_of(entrant, run, read_scored(recipe, run), LABELS)
    write_rows(run.rows / "test.jsonl", list(read_rows(run.rows / "test.jsonl", LabelRow))[:10])
    fewer = answers_of(entrant, run, read_scored(recipe, run), LABELS)
    assert len(fewer.predicted) == 14


def test_the_teachers_answers_are_written_beside_the_others(tmp_path: Path) -> None:
    run, recipe = eval_runs.run_in(tmp_path), eval_runs.recipe_of()
    eval_runs.make_rows(run, test=3, unanswered=1)
    teacher_answers(run, read_scored(recipe, run), LABELS)
    lines = list(read_rows(run.path / "predictions" / "teacher.jsonl", Prediction))
    assert lines[-1] == Prediction(id="bad-0", prediction=None)
    assert all(line.prediction in LABELS for line in lines[:-1])

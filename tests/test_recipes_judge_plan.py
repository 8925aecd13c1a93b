"""What a judge will be asked and cost, in the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_files import write_recipe
from test_recipes_evaluation import GENERATIVE
from test_recipes_plan import finish_others, journal, lines_of

from recipes.load import load_recipe
from recipes.plan import make_plan
from recipes.rows import ResponseRow, write_rows
from recipes.runs import RunFolder
from recipes.schema import Recipe
from recipes.stages import rows_inputs

JUDGE = "{provider: openai, model: j, price: {input: 1, output: 4}, budget_usd: 2}"


def recipe_of(folder: Path, *overrides: str) -> Recipe:
    return load_recipe(write_recipe(folder, text=GENERATIVE), [f"evaluation.judge={JUDGE}", *overrides])


def told(recipe: Recipe, run: RunFolder) -> str:
    return lines_of(make_plan(recipe, run))["judge"]


def test_every_pair_is_asked_in_both_orders(tmp_path):
    run = RunFolder(tmp_path / "run")
    line = told(recipe_of(tmp_path), run)  # reference and base of tiny against tiny; reference against made
    assert line.startswith("j (openai): 3 pairs x 6 questions x 2 orders = 36 verdicts, 36 to ask; about 0.0")
    assert line.endswith("; never above 2.00 USD in this run folder (evaluation.judge.budget_usd)")
    notes = make_plan(recipe_of(tmp_path), run).notes
    assert notes == ["OPENAI_API_KEY is not set: put it into the environment or a .env file"]


@pytest.mark.parametrize(
    ("overrides", "pairs", "questions"),
    [
        (["evaluation.questions=4"], 3, 4),
        (["evaluation.judge.against=[teacher]"], 2, 6),
        (["evaluation.judge.against=[base]"], 1, 6),
        (["evaluation.models=[reference, made]"], 1, 6),
        (["source.test=9"], 3, 9),
    ],
)
def test_what_is_compared_decides_how_much_is_judged(tmp_path, overrides, pairs, questions):
    plan = make_plan(recipe_of(tmp_path, *overrides), RunFolder(tmp_path / "run")).judge
    assert plan is not None and (plan.pairs, plan.questions, plan.left) == (pairs, questions, 2 * pairs * questions)


def test_where_there_is_nothing_to_judge_there_is_no_line(tmp_path):
    for one in ("evaluation.models=[reference]", "source.test=0"):
        made = make_plan(recipe_of(tmp_path, one), RunFolder(tmp_path / "run"))
        assert made.judge is None
        assert not any("OPENAI" in note for note in made.notes)


def test_a_number_of_questions_that_is_not_known_has_no_sum(tmp_path):
    line = told(
        recipe_of(tmp_path, "source={hub: a/b, fields: {title: t, description: d}}"), RunFolder(tmp_path / "run")
    )
    assert line.startswith(
        "j (openai): 3 pairs x 2 orders for every question; not known before the data set is here (about "
    )


def test_a_budget_that_covers_less_says_so(tmp_path):
    line = told(recipe_of(tmp_path, "evaluation.judge.budget_usd=0.01"), RunFolder(tmp_path / "run"))
    assert "for all 36 calls, and evaluation.judge.budget_usd leaves 0.01 USD: about " in line


def test_verdicts_on_record_count_while_the_answers_are_the_same(tmp_path):
    recipe, run = recipe_of(tmp_path), RunFolder(tmp_path / "run")
    rows = [
        ResponseRow(
            id=f"{n}", split="test", group=f"{n}", question="What?", response="word " * 400, fields={"title": "x"}
        )
        for n in range(4)
    ]
    for split in ("train", "test"):
        write_rows(run.rows / f"{split}.jsonl", rows)
    run.finish("rows", rows_inputs(recipe), [run.rows / "train.jsonl"], {"kept": 8})
    before = make_plan(recipe, run).judge
    assert before is not None and (before.questions, before.left) == (4, 24)
    short = make_plan(recipe_of(tmp_path), RunFolder(tmp_path / "other")).judge
    assert short is not None and before.cost.each > short.cost.each  # the rows on disk are long
    journal(RunFolder(run.path / "judge"), replies=5, model="j")
    assert make_plan(recipe, run).judge.left == 24  # the students will answer otherwise
    finish_others(recipe, run)
    run.manifest_path("report").unlink()
    assert make_plan(recipe, run).judge.left == 19
    finish_others(recipe, run)
    done = make_plan(recipe, run).judge
    assert done.left == 0
    assert done.line().endswith("0 to ask; 0.0007 USD spent; nothing is left to pay")


def test_a_judge_that_changed_is_named_and_not_priced(tmp_path):
    run = RunFolder(tmp_path / "run")
    journal(RunFolder(run.path / "judge"), replies=5, model="old")
    made = make_plan(recipe_of(tmp_path), run)
    assert made.judge is not None and made.judge.cost.spent == 0
    assert made.notes[0] == (
        "old was asked before in this run folder: 500 tokens in, 50 out, which count against "
        "evaluation.judge.budget_usd at the price of j"
    )


def test_a_free_or_a_recorded_judge_costs_nothing(tmp_path):
    (tmp_path / "j.jsonl").write_text("", encoding="utf-8")
    run = RunFolder(tmp_path / "run")
    free = "evaluation.judge={provider: endpoint, model: j, base_url: 'http://localhost/v1'}"
    assert told(recipe_of(tmp_path, free), run) == (
        "j (http://localhost/v1): 3 pairs x 6 questions x 2 orders = 36 verdicts, 36 to ask"
    )
    recorded = "evaluation.judge={provider: recorded, model: j, journal: j.jsonl}"
    assert told(recipe_of(tmp_path, recorded), run) == (
        "j (recorded): 3 pairs x 6 questions x 2 orders = 36 verdicts, as recorded"
    )

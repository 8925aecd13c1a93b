"""What is said of figures: differences that could be found, intervals at odds with tests, texts that were cut."""

from __future__ import annotations

from pathlib import Path

import eval_runs
import pytest

import eval.response_verdicts
import eval.tuple_verdicts
import eval.verdicts
from eval.claims import listed, standing
from eval.compare import compare
from eval.comparison import Figure, Pair
from eval.costs import ratio_sentence
from eval.intervals import wilson
from eval.power import detectable_share
from eval.tuple_comparison import Result, SeedResult, TuplePair
from eval.tuple_verdicts import tuple_verdicts
from eval.verdicts import verdicts, warnings
from recipes.rows import LabelRow, read_rows, write_rows
from recipes.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("finetune.student.open_student", eval_runs.open_fake)
    run = eval_runs.run_in(tmp_path)
    eval_runs.make_rows(run)
    eval_runs.make_student(run)
    return run


def pair_of(low: float, high: float, p: float, p_holm: float) -> Pair:
    return Pair(
        first="small", second="teacher", family="question", rows=60, difference=Figure(value=0.08, low=low, high=high),
        only_first=5, only_second=0, p=p, p_holm=p_holm, detectable=0.1,
    )  # fmt: skip


def test_what_could_have_been_found_is_told_for_the_corrected_test(run: RunFolder) -> None:
    found = compare(eval_runs.recipe_of(), run)
    for family, size in (("question", 1), ("students", 4), ("other", 10)):
        for pair in (one for one in found.pairs if one.family == family):
            apart = pair.only_first + pair.only_second
            assert pair.detectable == pytest.approx(detectable_share(pair.rows, apart, 0.05 / size))
    most = max(pair.detectable or 1 for pair in found.pairs if pair.family == "students")
    assert most < (detectable_share(44, 44, 0.01) or 0)


@pytest.mark.parametrize(
    ("low", "p", "p_holm", "told", "at_odds"),
    [
        (0.02, 0.0625, 0.0625, "small is not distinguishable from the teacher on 60 rows", True),
        (-0.01, 0.0625, 0.0625, "small is not distinguishable from the teacher on 60 rows", False),
        (0.02, 0.03, 0.09, "on 60 rows once corrected for the number of comparisons", False),
        (0.02, 0.03, 0.03, "small is better than the teacher by 8.0 points", False),
    ],
)
def test_an_interval_at_odds_with_its_test_is_explained(
    run: RunFolder, low: float, p: float, p_holm: float, told: str, at_odds: bool
) -> None:
    models = compare(eval_runs.recipe_of(), run).models
    said = verdicts(models, [pair_of(low, 0.15, p, p_holm)], 0.95)[0]
    assert told in said.claim
    assert ("leaves out 0; the exact test, which decides, does not" in said.more) == at_odds


def test_agreement_on_every_row_is_no_certainty(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    eval_runs.make_student(run, seeds=(1,), best=1, recipe=eval_runs.recipe_of(students=ONE_SEED))
    lines = list(read_rows(run.rows / "test.jsonl", LabelRow))
    fake = eval_runs.FakeStudent("small", 1)
    said = [fake.labels[place] for place in fake.predict([line.text for line in lines]).argmax(axis=1)]
    write_rows(
        run.rows / "test.jsonl",
        [line.model_copy(update={"label": label}) for line, label in zip(lines, said, strict=True)],
    )
    agreement = compare(eval_runs.recipe_of(students=ONE_SEED), run).model("small").agreement
    expected = wilson(40, 40, 0.95)
    assert (agreement.value, agreement.low, agreement.high) == (1.0, expected.low, expected.high)
    assert (agreement.low or 1) < 0.95


ONE_SEED = {"small": {"kind": "classifier", "base": "minilm", "seeds": (1,)}}


def test_texts_that_a_student_cuts_are_counted_and_told(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_runs, "LONG", 24)
    lines = list(read_rows(run.rows / "test.jsonl", LabelRow))
    long = sum(len(line.text) > 24 for line in lines)
    assert long > 0
    found = compare(eval_runs.recipe_of(), run)
    assert (found.model("small").cut, found.model("tfidf").cut) == (long, 0)
    assert f"Longer than the student reads (max_length), and cut: {long} of 44 texts for small." in found.warnings
    run.manifest_path("report").unlink()
    assert compare(eval_runs.recipe_of(), run).model("small").cut == long, "the count stays with the predictions"
    monkeypatch.setattr(eval_runs, "LONG", 60)
    run.manifest_path("predictions-small.seed-2").unlink()
    models = compare(eval_runs.recipe_of(about="other"), run).models
    assert not [one for one in warnings(models, (), 44, 44, True) if "cut" in one]


def test_cost_ratios_are_plain_numbers_of_the_speed_that_the_table_shows(run: RunFolder) -> None:
    how = {"machine_usd_per_hour": 1.0, "resamples": 100}
    price = {"input": 1.0, "output": 1.0}
    teacher = {"provider": "endpoint", "model": "big", "base_url": "http://127.0.0.1:9/v1", "price": price}
    found = compare(eval_runs.recipe_of(teacher=teacher, evaluation=how), run)
    small, big = found.model("small"), found.model("teacher")
    assert small.usd_per_1000 == pytest.approx(1 / 3600 / (small.rows_per_second or 0) * 1000)
    for times, words in [
        (57, "57 times less than"),
        (1 / 200, "200 times as much as"),
        (1 / 1.5, "1.5 times as much as"),
    ]:
        models = [big.model_copy(update={"usd_per_1000": times}), small.model_copy(update={"usd_per_1000": 1.0})]
        assert ratio_sentence(models) == f"small costs {words} the teacher."


def test_what_is_said_of_pairs_stands_in_one_place() -> None:
    for name in ("is_clear", "at_odds", "once_corrected", "with_all_seeds"):
        assert getattr(eval.verdicts, name) is getattr(eval.response_verdicts, name)
    assert eval.verdicts.standing is eval.tuple_verdicts.standing
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_where_rows_are_few_no_difference_could_have_been_found(run: RunFolder) -> None:
    models = compare(eval_runs.recipe_of(), run).models
    pair = pair_of(-0.1, 0.15, 0.3, 0.3).model_copy(update={"rows": 1, "detectable": None})
    said = verdicts(models, [pair], 0.95)[0]
    assert said.claim.endswith("on 1 row")
    assert said.more == "With 1 row no difference could have been found 4 times in 5."
    few = [one for one in warnings(models, [pair], 1, 1, True) if "few" in one]
    assert few == ["1 row is few: a difference from the teacher would mostly go unseen, however large."]
    found = [one for one in warnings(models, [pair_of(-0.1, 0.15, 0.3, 0.3)], 60, 60, True) if "few" in one]
    assert found == ["60 rows are few: a difference from the teacher below about 10 points would mostly go unseen."]


def test_what_only_the_correction_hides_is_said() -> None:
    pairs = [pair_of(0.01, 0.15, 0.028, 0.056), pair_of(-0.1, 0.2, 0.4, 0.4)]
    assert standing(pairs, 0.95) == (
        "not distinguishable from teacher (+8.0, p = 0.028 before Holm's correction) and teacher (+8.0)"
    )


@pytest.mark.parametrize(("strict", "turns"), [(0.189, True), (0.22, False)])
def test_an_order_that_strict_f1_turns_is_said(strict: float, turns: bool) -> None:
    pair = TuplePair(
        dataset="terms", measure="f1", first="small", second="lexicon", family="baselines", seeds=(1,), rows=50,
        first_value=0.248, second_value=0.21, difference=Figure(value=0.038, low=0.01, high=0.06), p=0.01, p_holm=0.01,
        detectable=None,
    )  # fmt: skip
    results = [
        Result(dataset="terms", slice="all", model=name, rows=50, figures={},
               seeds=(SeedResult(seed=seed, figures={"f1_strict": value}),))
        for name, seed, value in (("small", 1, strict), ("lexicon", None, 0.209))
    ]  # fmt: skip
    told = "the order turns: small has a strict F1 of 18.9% against the 20.9% of lexicon."
    for family in ("baselines", "students"):
        (said,) = tuple_verdicts([pair.model_copy(update={"family": family})], results, 0.95)
        assert (told in said.more) == turns

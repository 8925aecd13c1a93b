"""The comparison of generated answers on rows made by hand: scores, pairs, verdicts, and when it is made again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import response_runs
from response_runs import FakeSpeaker

from eval.answer_scores import tallies
from eval.compare import compare
from eval.generate import Response, Responses
from eval.intervals import holm, wilson
from eval.questions import Questions
from eval.report import read_report
from eval.response_table import response_cell
from eval.responses import ResponseComparison
from recipes.errors import RecipeError, RunError, TrainingError
from recipes.reference import reference
from recipes.rows import read_rows, write_rows
from recipes.runs import RunFolder
from recipes.schema import Filters
from synth.quality import row_problem

BASE = "base of tuned"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    run = response_runs.run_in(tmp_path)
    rows = response_runs.make_rows(run)
    response_runs.make_student(run, response_runs.recipe_of())
    answer_with(monkeypatch, response_runs.speakers(rows, base={"errs": 0.9, "nats": 1.5}, tuned={"errs": 0.1}))
    return run


def answer_with(monkeypatch: pytest.MonkeyPatch, open_named: Any) -> None:
    monkeypatch.setattr("eval.responders._opener", lambda recipe, run, name, seed: lambda: open_named(name, seed))
    monkeypatch.setattr("eval.responders._base_opener", lambda recipe, run, name, seed: lambda: open_named("base"))


def compared(run: RunFolder, **changes: Any) -> ResponseComparison:
    found = compare(response_runs.recipe_of(**changes), run)
    assert isinstance(found, ResponseComparison)
    return found


def test_teacher_student_and_base_answer_the_same_questions(run: RunFolder) -> None:
    found = compared(run)
    assert [(one.name, one.role) for one in found.models] == [
        ("teacher", "teacher"),
        ("tuned", "student"),
        (BASE, "base"),
    ]
    assert (found.rows, found.rows_of, found.reference, found.teacher) == (30, 30, "teacher", "big-model")
    ids = [row.id for row in read_rows(run.rows / "test.jsonl", response_runs.ResponseRow)]
    for name in ("teacher", "tuned.seed-3407", "tuned.base"):
        lines = list(read_rows(run.path / "predictions" / f"{name}.jsonl", Response))
        assert [line.id for line in lines] == ids
    assert found.model(BASE).about == "org/base, before training"
    assert found.model("tuned").about == "org/base, LoRA of rank 16 on 4 bits"


def test_scores_are_those_of_the_answers(run: RunFolder) -> None:
    found = compared(run)
    tuned, teacher = found.model("tuned"), found.model("teacher")
    lines = list(read_rows(run.path / "predictions" / "tuned.seed-3407.jsonl", Response))
    wrong = sum("999" in line.response for line in lines)
    assert 0 < wrong < 10
    assert tuned.figure("grounded").value == pytest.approx(1 - wrong / 30)
    assert tuned.figure("meta_talk").value == pytest.approx(wrong / 30)
    ends = wilson(30 - wrong, 30, 0.95)
    assert (tuned.figure("grounded").low, tuned.figure("grounded").high) == pytest.approx((ends.low, ends.high))
    assert tuned.figure("rouge_l").value is not None
    assert tuned.figure("rouge_l").value > 1 - wrong / 30 - 1e-9, "right answers are the teacher's to the letter"
    assert (tuned.figure("stopped").value, tuned.figure("valid").value) == (1.0, 1.0)
    assert teacher.figure("grounded").value == 1.0
    for measure in ("rouge_l", "chrf", "loss", "stopped", "valid", "tokens"):
        assert teacher.figure(measure).value is None, f"nobody measured {measure} of the teacher"
    assert tuned.tokens_per_second is not None


def test_loss_is_a_ratio_over_all_rows(run: RunFolder) -> None:
    found = compared(run)
    rows = list(read_rows(run.rows / "test.jsonl", response_runs.ResponseRow))
    losses = FakeSpeaker({}, 0.0, 0.5).losses(rows)
    characters = sum(len(row.response) for row in rows)
    loss = sum(nll for nll, _ in losses) / sum(tokens for _, tokens in losses)
    tuned = found.model("tuned")
    assert tuned.figure("loss").value == pytest.approx(loss)
    assert tuned.figure("perplexity").value == pytest.approx(math.exp(loss))
    assert tuned.figure("bits_per_char").value == pytest.approx(
        sum(nll for nll, _ in losses) / math.log(2) / characters
    )
    low, high = tuned.figure("perplexity").low, tuned.figure("perplexity").high
    assert low is not None and high is not None
    assert low < math.exp(loss) < high


def test_pairs_are_corrected_within_their_families(run: RunFolder) -> None:
    found = compared(run)
    assert [(one.family, one.measure) for one in found.pairs if one.family == "teacher"] == [
        ("teacher", "grounded"),
        ("teacher", "meta_talk"),
        ("teacher", "repeats"),
    ]
    for family in ("base", "teacher"):
        members = [one for one in found.pairs if one.family == family]
        assert [one.p_holm for one in members] == pytest.approx(holm([one.p for one in members]))
    better = found.pair("tuned", BASE, "bits_per_char")
    assert better is not None
    assert (better.test, better.rows) == ("paired permutation", 30)
    assert better.difference.value == pytest.approx(better.first_value - better.second_value)
    assert better.p == pytest.approx(1 / 10_001), "every row agrees"
    grounded = found.pair("tuned", BASE, "grounded")
    assert grounded is not None
    assert grounded.test == "exact McNemar"
    assert found.pair("tuned", BASE, "words") is None, "longer is neither better nor worse"


def test_verdicts_say_what_the_tests_say(run: RunFolder) -> None:
    found = compared(run)
    first = found.verdicts[0].text()
    assert first.startswith("tuned predicts the held-out responses better than its base (Bits/char ")
    assert "paired permutation p < 0.001" in first
    assert found.verdicts[1].claim == "tuned comes closer to the reference responses than its base"
    beside = next(one.claim for one in found.verdicts if one.claim.startswith("tuned beside its base"))
    assert "better in " in beside
    assert "Grounded (+" in beside
    assert "not distinguishable in Answered (0.0 points)" in beside
    teacher = next(one for one in found.verdicts if "the teacher" in one.claim)
    assert teacher.claim == "tuned is not distinguishable from the teacher in Grounded"
    assert "would have been found 4 times in 5" in teacher.more


def test_what_a_reader_must_know(run: RunFolder) -> None:
    found = compared(run, evaluation={"questions": 12, "resamples": 100})
    assert (found.rows, found.rows_of) == (12, 30)
    said = " ".join(found.warnings)
    assert "12 of 30 test rows were asked about" in said
    assert "12 questions are few" in said
    assert "The teacher's rows passed the recipe's filters (grounded, meta-talk)" in said
    assert "not quality" in said
    assert "The teacher wrote with the source before it (title, description); students and their" in said
    assert compared(run, evaluation={"questions": 12, "resamples": 100}).examples == found.examples
    other = compared(run, evaluation={"questions": 12, "resamples": 100, "seed": 7})
    assert {one.id for one in other.examples} != {one.id for one in found.examples}


def test_silence_is_counted_and_not_averaged(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", response_runs.ResponseRow))
    speakers = response_runs.speakers(rows, tuned={"errs": 0.0, "silent": 3, "runs_on": 6}, base={"errs": 0.5})
    answer_with(monkeypatch, speakers)
    found = compared(run)
    tuned = found.model("tuned")
    assert tuned.answered == 27
    assert tuned.figure("answered").value == pytest.approx(0.9)
    assert tuned.figure("rouge_l").value == pytest.approx(1.0)
    assert tuned.figure("rouge_l_all").value == pytest.approx(0.9)
    assert tuned.figure("stopped").value == pytest.approx(24 / 30)
    assert tuned.figure("valid").value == pytest.approx(0.9)
    pair = found.pair("tuned", BASE, "rouge_l")
    assert pair is not None
    assert pair.rows == 27
    assert tuned.unscored == {"words": 3, "meta_talk": 3, "grounded": 3, "rouge_l": 3, "chrf_rows": 3}
    said = " ".join(found.warnings)
    assert "tuned gave no response to 3 of 30 questions" in said
    assert "counted as 0, they would put its ROUGE-L at 90.0" in said
    assert "tuned ended only 80.0% of its answers by itself" in said


def test_a_loss_that_cannot_be_taken_is_counted(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = FakeSpeaker.losses

    def two_too_long(self: FakeSpeaker, rows: Any) -> Any:
        return [(0.0, 0), (math.nan, 9), *losses(self, rows)[2:]]

    monkeypatch.setattr(FakeSpeaker, "losses", two_too_long)
    found = compared(run)
    tuned = found.model("tuned")
    assert tuned.unscored == {"loss": 2, "bits_per_char": 2}
    assert tuned.figure("loss").value is not None
    assert "tuned: 2 of 30 reference responses are too long for it: no loss." in found.warnings
    pair = found.pair("tuned", BASE, "bits_per_char")
    assert pair is not None
    assert pair.rows == 28


def test_seeds_are_averaged_and_one_is_tested(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", response_runs.ResponseRow))
    answer_with(monkeypatch, response_runs.speakers(rows, tuned={"errs": 0.3}, base={"errs": 0.9}))
    students = {"tuned": response_runs.student_of(seeds=(2, 1))}
    recipe = response_runs.recipe_of(students=students)
    response_runs.make_student(run, recipe, seeds=(2, 1))
    found = compared(run, students=students)
    tuned = found.model("tuned")
    assert [(one.seed, one.chosen, one.validation) for one in tuned.seeds] == [(2, True, 1.0), (1, False, 1.1)]
    values = [one.figures["rouge_l"] or 0.0 for one in tuned.seeds]
    assert values[0] != values[1]
    assert tuned.figure("rouge_l").value == pytest.approx(np.mean(values))
    assert tuned.figure("rouge_l").deviation == pytest.approx(np.std(values, ddof=1))
    pair = found.pair("tuned", BASE, "rouge_l")
    assert pair is not None
    assert pair.first_value == pytest.approx(values[0])
    assert pair.all_seeds is not None
    assert "With all seeds averaged the difference is" in found.verdicts[1].text()


def test_models_are_opened_only_when_their_answers_are_wanted(run: RunFolder) -> None:
    first = compared(run)
    opened, asked = FakeSpeaker.opened, FakeSpeaker.asked
    again = compared(run, evaluation={"resamples": 300})
    assert (FakeSpeaker.opened, FakeSpeaker.asked) == (opened, asked), "new intervals need no new answers"
    assert again.model("tuned").figure("rouge_l").value == first.model("tuned").figure("rouge_l").value
    assert read_report(run) == again
    students = {"tuned": response_runs.student_of(answering={"temperature": 0, "max_new_tokens": 9})}
    response_runs.make_student(run, response_runs.recipe_of(students=students))
    compared(run, students=students)
    assert FakeSpeaker.opened == opened + 2
    assert FakeSpeaker.open_now == 0


def test_how_a_student_answers_needs_no_training_to_be_compared(run: RunFolder) -> None:
    compared(run)
    asked = FakeSpeaker.asked
    students = {"tuned": response_runs.student_of(answering={"temperature": 0, "max_new_tokens": 9})}
    compared(run, students=students)
    assert FakeSpeaker.asked > asked, "asked anew, as the recipe says now"
    with pytest.raises(RunError, match="the student tuned is not what the recipe says"):
        compared(run, students={"tuned": response_runs.student_of(epochs=3, answering={"temperature": 0})})


def test_base_answers_are_kept_only_while_the_base_is_the_same(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(**student: Any) -> int:
        students = {"tuned": response_runs.student_of(**student)}
        response_runs.make_student(run, response_runs.recipe_of(students=students))
        run.manifest_path("report").unlink(missing_ok=True)
        before = FakeSpeaker.opened
        compared(run, students=students)
        return FakeSpeaker.opened - before

    base = run.student("tuned", 3407) / "base.json"
    base.parent.mkdir(parents=True)
    base.write_text('{"name": "org/base", "revision": "one", "print": null, "effect": 0.1}', encoding="utf-8")
    assert (opened(), opened()) == (2, 0)
    base.write_text('{"name": "org/base", "revision": "one", "print": null, "effect": 0.2}', encoding="utf-8")
    assert opened() == 0, "another adapter on the same base"
    base.write_text('{"name": "org/base", "revision": "two", "print": null, "effect": 0.2}', encoding="utf-8")
    assert opened() == 1, "main is another commit now"
    assert opened(precision="fp32") == 1, "the base is computed in another precision"
    monkeypatch.setattr("eval.responders.ANSWERS_VERSION", 99)
    assert opened(precision="fp32") == 2, "answers of other code"


def test_answers_take_the_seed_of_training(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, seeds = FakeSpeaker.answer, set()

    def noting(self: FakeSpeaker, questions: Any, answering: Any = None, seed: int = 0) -> Any:
        seeds.add(seed)
        return answer(self, questions, answering, seed)

    monkeypatch.setattr(FakeSpeaker, "answer", noting)
    compared(run, evaluation={"seed": 7, "resamples": 100})
    assert seeds == {3407, 0}, "a base was trained with none"
    told = next(line for line in reference().splitlines() if line.startswith("- `seed`") and "draws" in line)
    assert "sampled answers take the seed it was trained with" in told


def test_what_a_kill_interrupted_goes_on_where_it_stopped(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compared(run)
    for path in [*(run.path / "predictions").iterdir(), *(run.path / "manifests").glob("pred*")]:
        path.unlink()
    run.manifest_path("report").unlink()
    monkeypatch.setattr("eval.generate.WINDOW", 8)
    answer, asked = FakeSpeaker.answer, FakeSpeaker.asked

    def dies(self: FakeSpeaker, questions: Any, answering: Any = None, seed: int = 0) -> Any:
        if FakeSpeaker.asked - asked > 20:
            raise KeyboardInterrupt
        return answer(self, questions, answering, seed)

    monkeypatch.setattr(FakeSpeaker, "answer", dies)
    with pytest.raises(KeyboardInterrupt):
        compared(run)
    (kept,) = (run.path / "predictions").glob("*.unfinished.jsonl")
    assert len(kept.read_bytes().splitlines()) == 24
    with kept.open("ab") as torn:
        torn.write(b'{"id":"test-')
    monkeypatch.setattr(FakeSpeaker, "answer", answer)
    before = FakeSpeaker.asked
    again = compared(run)
    warm = 2
    assert FakeSpeaker.asked == before + warm + (30 - 24) + warm + 30, "six are left of the first, and all of its base"
    assert not list((run.path / "predictions").glob("*.unfinished.jsonl"))
    assert again.model("tuned").figures == whole.model("tuned").figures


def test_answers_to_other_questions_are_not_used(run: RunFolder) -> None:
    compared(run)
    path = run.path / "predictions" / "tuned.base.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]), encoding="utf-8")
    run.manifest_path("report").unlink()
    with pytest.raises(RunError, match="does not answer the questions"):
        compared(run)


def test_who_cannot_be_compared_is_refused(run: RunFolder) -> None:
    with pytest.raises(RecipeError, match="'gpt' is nobody to compare"):
        compared(run, evaluation={"models": ["teacher", "gpt"]})
    with pytest.raises(TrainingError, match="student other is not trained"):
        compared(run, students={"other": response_runs.student_of()})
    with pytest.raises(RunError, match="the student tuned is not what the recipe says"):
        compared(run, students={"tuned": response_runs.student_of(epochs=9)})
    found = compared(run, evaluation={"models": ["tuned"], "resamples": 100})
    assert [one.name for one in found.models] == ["tuned"]
    assert (found.pairs, found.verdicts) == ((), ())
    write_rows(run.rows / "test.jsonl", [])
    with pytest.raises(RunError, match="has no test row"):
        compared(run)


def test_students_of_one_base_share_its_answers(run: RunFolder) -> None:
    students = {
        "tuned": response_runs.student_of(),
        "wide": response_runs.student_of(lora={"rank": 64}),
        "hot": response_runs.student_of(answering={"temperature": 1.0}),
    }
    recipe = response_runs.recipe_of(students=students)
    for name in students:
        response_runs.make_student(run, recipe, name)
    found = compared(run, students=students)
    names = ["teacher", "tuned", BASE, "wide", "hot", "base of hot"]
    assert [one.name for one in found.models] == names, "hot asks its base another way"
    assert found.pair("wide", BASE, "rouge_l") is not None
    assert {one.family for one in found.pairs} == {"base", "teacher", "students"}
    claim = found.verdicts[0].claim
    assert claim == "tuned predicts the held-out responses better than its base"


def test_a_student_of_other_questions_is_not_compared(run: RunFolder) -> None:
    domain = response_runs.student_of(
        base="scratch", rows="description", format="alpaca", lora=None, quantization="none"
    )
    students = {"domain": domain, "tuned": response_runs.student_of(base="students.domain")}
    recipe = response_runs.recipe_of(students=students)
    for name in students:
        response_runs.make_student(run, recipe, name)
    found = compared(run, students=students)
    assert [one.name for one in found.models] == ["teacher", "tuned", BASE]
    assert any(one.startswith("domain was trained on other questions") for one in found.warnings)
    assert [one.student for one in found.curves] == ["domain", "tuned"]
    with pytest.raises(RecipeError, match="'domain' answers other questions"):
        compared(run, students=students, evaluation={"models": ["domain"]})


def test_a_task_without_a_teacher(run: RunFolder) -> None:
    sections = {"task": "description", "teacher": {"provider": "none", "model": "none"}, "synthesis": {}}
    recipe = response_runs.recipe_of(**sections)
    response_runs.make_student(run, recipe)
    found = compared(run, **sections)
    assert "with the source before it" not in " ".join(found.warnings)
    assert [one.name for one in found.models] == ["reference", "tuned", BASE]
    assert found.model("reference").about == "the responses of the source itself"
    assert any("the reference" in one.claim for one in found.verdicts)
    assert (run.path / "predictions" / "reference.jsonl").exists()


@pytest.mark.parametrize("task", ["reasoning", "description", "chat"])
@pytest.mark.parametrize(
    ("question", "response", "counted"),
    [
        ("Which lamp?", "The description says 20 cm.", {"reasoning", "description"}),
        ("Which lamp does this description mean: 20 cm, red?", "The description says 20 cm.", {"reasoning"}),
        ("Which description is this?", "As an AI, I cannot see the description.", {"reasoning", "description", "chat"}),
        ("Which lamp?", "The red lamp is 20 cm high.", set()),
    ],
)
def test_meta_talk_is_what_rows_are_filtered_by(task: str, question: str, response: str, counted: set[str]) -> None:
    row = response_runs.row_of(0).model_copy(update={"question": question, "response": response})
    asked = Questions((row,), 1, False, task)
    assert bool(asked.talk(0, response)) == (task in counted)
    if task != "reasoning":
        only = Filters(meta_talk=True, grounded=False, min_reasoning_chars=0, min_response_chars=1)
        assert (row_problem(row, task, only) is not None) == (task in counted)
    said = Responses("tuned", "student", 1, (Response(id="a", text=response, reasoning=None, response=response),))
    assert tallies(asked, said)["meta_talk"].value() == float(task in counted)


def test_costs_are_made_up_by_nobody(run: RunFolder) -> None:
    assert [one.usd_per_1000 for one in compared(run).models] == [None] * 3
    teacher = {"provider": "endpoint", "model": "big-model", "base_url": "http://127.0.0.1:9/v1"}
    price = {"input": 1.0, "output": 2.0}
    found = compared(run, teacher=teacher | {"price": price}, evaluation={"machine_usd_per_hour": 1, "resamples": 100})
    # 60,000 tokens in at 1 USD and 30,000 out at 2 USD a million, for 76 rows asked
    assert found.model("teacher").usd_per_1000 == pytest.approx(0.12 / 76 * 1000)
    assert found.model("tuned").usd_per_1000 is not None
    assert response_cell(found.model("teacher"), "cost").line() == "$1.58 (rows written)"
    assert "rows" not in response_cell(found.model("tuned"), "cost").line()

# ruff: noqa: E501 (golden lines stay on one line)
"""The plan: rows, calls, tokens, dollars, stages, steps; and the question before the first paid call."""

from __future__ import annotations

import builtins
import re
import sys
from dataclasses import replace

import pytest
from recipe_files import write_recipe

from recipes import console, plan
from recipes.chat import ChatRequest, Reply, Sampling, Usage
from recipes.errors import TeacherError
from recipes.estimate import CallSize, count_asked
from recipes.load import load_recipe
from recipes.plan import asked_as, confirm_spend, make_plan
from recipes.prompts import load_prompt
from recipes.run_plan import RunPlan
from recipes.runs import RunFolder
from recipes.spent import read_spent
from recipes.stages import report_inputs, rows_inputs, student_inputs

LINE = '{{"crc32":"00000000","key":"k{n}","kind":"{kind}","usage":[100,40,10]{more},"example":"e{n}","sample":0,"model":"{model}","at":1,"reply":{{"text":"\\"kind\\":\\"reply\\",\\"usage\\":[9,9,9]","finish":"stop"}}}}\n'


def journal(run: RunFolder, replies: int, failures: int = 0, model: str = "m", left: int = 0, asked: str = "") -> None:
    run.path.mkdir(parents=True, exist_ok=True)
    lines = [LINE.format(n=n, kind="reply", more="", model=model) for n in range(replies)]
    lines += [LINE.format(n=n, kind="timeout", more=',"uncertain":[1000,0,1]', model=model) for n in range(failures)]
    leases = [f'{{"crc32":"00000000","lease":[{tokens},0,0]}}\n' for tokens in (4096, left)]
    text = leases[0] + "".join(lines) + leases[1]
    run.journal.write_text(text.replace('"at":1', f'"asked":"{asked}","at":1') if asked else text, encoding="utf-8")


def finish_rows(recipe, run: RunFolder, train: int = 20) -> None:
    run.rows.mkdir(parents=True, exist_ok=True)
    (run.rows / "train.jsonl").write_text("{}\n" * train, encoding="utf-8")
    run.finish("rows", rows_inputs(recipe), [run.rows / "train.jsonl"], {"kept": train})


def finish_others(recipe, run: RunFolder) -> None:
    for name in recipe.students:
        run.finish(f"student-{name}", student_inputs(recipe, name, run), [], {})
    run.finish("report", report_inputs(recipe, run), [], {})


def lines_of(made: RunPlan) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in made.lines():
        name = line[:9].strip() or name
        found[name] = found[name] + "\n" + line[10:] if name in found else line[10:]
    return found


def test_a_plan_before_anything_has_run(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path))
    told = lines_of(make_plan(recipe, RunFolder(tmp_path / "run")))
    assert told["recipe"] == "small: classify, negative, neutral, positive"
    assert told["teacher"] == "m (fireworks)"
    assert told["rows"] == "up to 30 (22 train, 2 validation, 6 test) from texts.jsonl"
    assert told["calls"] == "30, one a row: 0 answered, 30 to ask"
    assert told["tokens"].endswith("; estimated at 4 bytes a token")
    assert told["cost"].endswith("; never above 5.00 USD in this run folder (budget_usd)")
    assert (
        told["stages"]
        == "rows: to do: it has not run yet\nstudent-tiny: to do: it has not run yet\nreport: to do: it has not run yet"
    )
    assert told["training"] == "tiny: 22 rows / 16 x 5 epochs = 10 steps at most"
    assert told["note"] == "FIREWORKS_API_KEY is not set: put it into the environment or a .env file"
    assert not (tmp_path / "run").exists()


def test_votes_limits_and_seeds(tmp_path):
    recipe = load_recipe(
        write_recipe(tmp_path),
        [
            "synthesis.votes=3",
            "students.tiny.limit=10",
            "students.tiny.seeds=[1, 2]",
            "source.train=12",
            "source.test=4",
        ],
    )
    made = make_plan(recipe, RunFolder(tmp_path / "run"))
    assert made.rows == {"train": 11, "validation": 1, "test": 4}
    assert (made.calls, made.training[0].rows, made.training[0].steps) == (48, 10, 10)
    assert lines_of(made)["calls"] == "48, 3 votes a row: 0 answered, 48 to ask"


@pytest.mark.parametrize(
    ("overrides", "rows"),
    [
        ([], {"train": 22, "validation": 2, "test": 6}),
        (["source.test=0"], {"train": 27, "validation": 3, "test": 0}),
        (["source.test=29"], {"train": 1, "validation": 0, "test": 29}),
        (["source.train=10"], {"train": 9, "validation": 1, "test": 6}),
        (["source.test_path=texts.jsonl"], {"train": 27, "validation": 3, "test": 30}),
        (["source.test_path=texts.jsonl", "source.test=5"], {"train": 27, "validation": 3, "test": 5}),
        (["source={hub: a/b, text: text}"], None),
        (["source={hub: a/b, text: text, train: 100, test: 7}"], {"train": 90, "validation": 10, "test": 7}),
    ],
)
def test_rows_are_counted_as_synth_will_draw_them(tmp_path, overrides, rows):
    assert count_asked(load_recipe(write_recipe(tmp_path), overrides)) == rows


def test_an_unknown_number_of_rows_has_no_sum(tmp_path):
    made = make_plan(
        load_recipe(write_recipe(tmp_path), ["source={hub: a/b, text: text}"]), RunFolder(tmp_path / "run")
    )
    told = lines_of(made)
    assert told["rows"].startswith("not known until a/b is here")
    assert told["calls"] == "one a row: 0 answered"
    assert re.match(r"not known before the data set is here \(about 0\.\d\d USD for 1,000 calls\); never", told["cost"])
    assert told["training"] == "tiny: rows / 16 x 5 epochs"
    run = RunFolder(tmp_path / "run")
    finish_rows(made.recipe, run, train=7)
    told = lines_of(make_plan(made.recipe, run))
    assert told["rows"] == "7 on disk, from a/b"
    assert told["training"] == "tiny: 7 rows / 16 x 5 epochs = 5 steps at most"


def test_the_shared_part_is_cached_from_the_second_call_on():
    size = CallSize(shared=800, prompt=900, completion=50)
    assert size.usage(10, cached=True) == Usage(9000, 7200, 500)
    assert size.usage(10, cached=False) == Usage(9000, 0, 500)
    assert size.usage(0, cached=True) == Usage(0, 0, 0)


def test_a_cached_price_lowers_what_is_expected_and_not_the_most(tmp_path):
    changes = [("sentiment-word", "sentiment-rationale")]
    plain = make_plan(load_recipe(write_recipe(tmp_path, *changes)), RunFolder(tmp_path / "run"))
    cached = make_plan(
        load_recipe(write_recipe(tmp_path, *changes), ["teacher.price.cached_input=0.1"]), RunFolder(tmp_path / "run")
    )
    assert cached.cost.expected is not None and plain.cost.expected is not None
    assert cached.cost.expected < plain.cost.expected < (plain.cost.at_most or 0)
    assert cached.cost.at_most == plain.cost.at_most


def test_replies_on_disk_are_counted_measured_and_paid(tmp_path):
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    journal(run, replies=20, failures=2)
    made = make_plan(recipe, run)
    assert (made.answered, made.left, made.size.measured, made.size.prompt) == (20, 10, True, 100)
    assert lines_of(made)["calls"] == "30, one a row: 20 answered, 10 to ask"
    assert made.cost.spent == pytest.approx((20 * 100 + 2000) * 1e-6 + 202 * 2e-6)
    assert made.cost.expected == pytest.approx(10 * 100e-6 + 10 * 10 * 2e-6)
    assert "measured in this run folder" in lines_of(made)["tokens"]
    journal(run, replies=20, left=500)  # a run that was killed: what was on its way counts as paid
    assert make_plan(recipe, run).cost.spent == pytest.approx((20 * 100 + 500) * 1e-6 + 200 * 2e-6)
    assert read_spent(run.journal, "another").replies == 0
    assert read_spent(tmp_path / "none", "m").replies == 0


def test_the_most_it_can_cost_counts_the_replies_that_a_question_asked_again_repeats(tmp_path):
    recipe = load_recipe(write_recipe(tmp_path), ["teacher.max_tokens=100", "synthesis.reask=2"])
    journal(RunFolder(tmp_path / "run"), replies=20)
    most = make_plan(recipe, RunFolder(tmp_path / "run")).cost.at_most
    assert most == pytest.approx(10 * ((100 + 260 + 420) * 1e-6 + 3 * 100 * 2e-6))


def test_the_journal_is_read_as_synth_writes_it(tmp_path):
    from synth.entries import Entry, Failure, encode, encode_lease

    reply = Entry("k", 'an "example"', Reply("x", usage=Usage(7, 3, 2)), model='m "1"', uncertain=Usage(1, 0, 1))
    lines = [
        encode(reply),
        encode(Entry("l", "e", Failure("timeout", "x"), uncertain=Usage(5, 0, 5))),
        encode_lease(Usage(9, 9, 9)),
    ]
    (tmp_path / "j.jsonl").write_bytes(b"".join(lines))
    spent = read_spent(tmp_path / "j.jsonl", 'm "1"')
    assert (spent.answered, spent.replies, spent.usage, spent.billed) == (1, 1, Usage(7, 3, 2), Usage(8, 3, 3))
    assert spent.others == {"": Usage(14, 9, 14)}  # the lease is of whoever was asked last
    assert spent.counted == Usage(22, 12, 17)
    marked = replace(reply, asked="ab12")
    (tmp_path / "j.jsonl").write_bytes(encode(marked))
    ours, other = (read_spent(tmp_path / "j.jsonl", 'm "1"', asked) for asked in ("ab12", "cd34"))
    assert (ours.answered, ours.otherwise, ours.replies, ours.usage) == (1, 0, 1, Usage(7, 3, 2))
    assert (other.answered, other.otherwise, other.replies, other.usage) == (0, 1, 0, Usage())
    assert ours.billed == other.billed == Usage(8, 3, 3)


def test_replies_to_another_prompt_do_not_count(tmp_path):
    """Nor where the run that asked them was stopped, so that no manifest says what it asked."""
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    journal(run, replies=20, asked=asked_as(recipe))
    assert (make_plan(recipe, run).answered, make_plan(recipe, run).size.measured) == (20, True)
    other = load_recipe(write_recipe(tmp_path), ["synthesis.prompt=sentiment-rationale"])
    for _ in range(2):
        made = make_plan(other, run)
        assert (made.answered, made.left, made.size.measured) == (0, 30, False)
        assert made.notes[-1] == "20 replies on disk are to another prompt, address or setting and do not count"
        assert made.cost.spent == pytest.approx(20 * (100e-6 + 10 * 2e-6)), "it was paid all the same"
        finish_rows(recipe, run)
    assert made.stages[0].reasons == ["synthesis changed", "prompt file changed"]


def test_replies_of_old_that_do_not_say_what_was_asked_go_with_the_rows_made_of_them(tmp_path):
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    other = load_recipe(write_recipe(tmp_path), ["synthesis.prompt=sentiment-rationale"])
    journal(run, replies=20)
    assert [make_plan(one, run).answered for one in (recipe, other)] == [20, 20], "no rows say anything"
    finish_rows(recipe, run)
    assert [make_plan(one, run).answered for one in (recipe, other)] == [20, 0]
    assert make_plan(other, run).left == 30


@pytest.mark.parametrize(("output", "same"), [("json_schema", False), ("text", True)])
def test_labels_are_part_of_the_question_where_its_schema_lists_them(tmp_path, output, same):
    path = write_recipe(tmp_path)
    recipe = load_recipe(path, [f"synthesis.output={output}"])
    more = recipe.model_copy(update={"labels": (*recipe.labels, "mixed")})
    assert (asked_as(recipe) == asked_as(more)) == same


def test_stages_that_are_up_to_date_and_what_a_change_pulls_along(tmp_path):
    text = ("    base: minilm\n", "    base: minilm\n  second:\n    kind: classifier\n    base: students.tiny\n")
    recipe, run = load_recipe(write_recipe(tmp_path, text)), RunFolder(tmp_path / "run")
    finish_rows(recipe, run)
    finish_others(recipe, run)
    done = make_plan(recipe, run)
    assert lines_of(done)["calls"] == "none to ask: the rows are there (one a row, 0 answered)"
    assert [stage.reasons for stage in done.stages] == [[], [], [], []]
    assert (done.left, done.cost.expected) == (0, 0)
    assert done.training[0].rows == 20
    assert lines_of(done)["rows"] == "20 on disk, of 30 (22 train, 2 validation, 6 test) from texts.jsonl"
    changed = make_plan(load_recipe(write_recipe(tmp_path, text), ["students.second.epochs=1"]), run)
    assert [bool(stage.reasons) for stage in changed.stages] == [False, False, True, True]
    (tmp_path / "texts.jsonl").write_text('{"text": "new", "label": "neutral"}\n' * 20, encoding="utf-8")
    moved = make_plan(recipe, run)
    assert [stage.line() for stage in moved.stages] == [
        "rows: to do: source file changed",
        "student-tiny: to do: rows runs again",
        "student-second: to do: student-tiny runs again",
        "report: to do: rows runs again; student-tiny runs again; student-second runs again",
    ]


def test_a_row_that_was_asked_again_is_answered_once(tmp_path):
    recipe, run = load_recipe(write_recipe(tmp_path), ["synthesis.votes=2"]), RunFolder(tmp_path / "run")
    run.path.mkdir()
    asked = [("a", 0, 1), ("a", 0, 2), ("a", 1, 3), ('b\\"', 0, 4)]
    lines = [LINE.format(n=key, kind="reply", more="", model="m").replace(f'"e{key}","sample":0', f'"{row}","sample":{vote}')
             for row, vote, key in asked]  # fmt: skip
    run.journal.write_text("".join(lines), encoding="utf-8")
    made = make_plan(recipe, run)
    assert (made.answered, made.left) == (3, 57)
    assert read_spent(run.journal, "m").replies == 4


def test_a_teacher_that_changed_is_named_and_not_priced(tmp_path):
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    journal(run, replies=20, model="old")
    with run.journal.open("a", encoding="utf-8") as lines:
        lines.write(LINE.format(n=99, kind="reply", more="", model="m"))
    made = make_plan(recipe, run)
    assert (made.answered, made.cost.spent) == (1, pytest.approx(100e-6 + 10 * 2e-6))
    assert made.cost.room == pytest.approx(5 - 21 * (100e-6 + 10 * 2e-6))
    assert "old was asked before in this run folder: 2,000 tokens in, 200 out, which count against budget_usd at the "\
           "price of m" in made.notes  # fmt: skip


@pytest.mark.parametrize(("budget", "covered"), [(0.0001, 0), (0.0015, 18), (5, 30)])
def test_a_budget_is_told_by_the_calls_that_it_covers(tmp_path, budget, covered):
    recipe = load_recipe(write_recipe(tmp_path), [f"synthesis.budget_usd={budget}", "teacher.max_tokens=100"])
    made = make_plan(recipe, RunFolder(tmp_path / "run"))
    assert made.cost.covered == pytest.approx(covered, abs=3 if 0 < covered < 30 else 0)
    line = lines_of(made)["cost"]
    if covered == 30:
        assert line.endswith("USD at most; never above 5.00 USD in this run folder (budget_usd)")
        return
    number = f"about {made.cost.covered:,}" if covered else "none"
    assert line.endswith(f" for all 30 calls, and budget_usd leaves {budget:g} USD: {number} of them")
    assert "raise budget_usd or lower source.train" in lines_of(made)["note"]


def test_a_run_that_is_covered_asks_for_as_many_as_the_budget_lets_it(tmp_path):
    """What the plan says of a budget is what synth does with one."""
    from synth.budget import Budget

    recipe = load_recipe(write_recipe(tmp_path), ["synthesis.budget_usd=0.0015", "teacher.max_tokens=100"])
    made = make_plan(recipe, RunFolder(tmp_path / "run"))
    assert made.size is not None and recipe.teacher.price is not None
    budget, calls = Budget(recipe.teacher.price, 0.0015), 0
    request = ChatRequest("e", "m", load_prompt(recipe).render({"text": "text 10"}), Sampling(0.7, 100))
    while budget.fits(most := budget.bound(request)):
        budget.reserve(most)
        budget.settle(most, made.size.usage(1, cached=False))
        calls += 1
    assert made.cost.covered == pytest.approx(calls, rel=0.1)


def test_without_test_rows_there_is_no_comparison(tmp_path):
    recipe, run = load_recipe(write_recipe(tmp_path), ["source.test=0"]), RunFolder(tmp_path / "run")
    told = lines_of(make_plan(recipe, run))
    assert "report" not in told["stages"]
    assert told["note"].startswith("FIREWORKS_API_KEY is not set")
    assert told["note"].endswith("\nno comparison: source.test is 0, so no row is kept to compare on")


def test_notes_on_labels_and_the_budget(tmp_path):
    recipe = load_recipe(
        write_recipe(tmp_path), ["labels=[negative, neutral, positive, mixed]", "synthesis.budget_usd=0.0001"]
    )
    notes = make_plan(recipe, RunFolder(tmp_path / "run")).notes
    assert notes[0] == "the prompt never names mixed: a teacher may not use a label it was not told of"
    assert notes[1] == "raise budget_usd or lower source.train: rows that are not asked about are not in the dataset"


def ask(monkeypatch, terminal: bool, answer: str | None = None) -> list[str]:
    """What confirm_spend says goes into the list that is returned."""
    said: list[str] = []

    def read(prompt: str = "") -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(plan, "say", said.append)
    monkeypatch.setattr(console, "say", said.append)
    monkeypatch.setattr(plan, "is_terminal", lambda: terminal)
    monkeypatch.setattr(console, "is_terminal", lambda: terminal)
    monkeypatch.setattr(builtins, "input", read)
    return said


@pytest.mark.parametrize("answer", ["y", " Yes "])
def test_in_a_terminal_the_first_paid_run_is_asked_for(tmp_path, monkeypatch, answer):
    said = ask(monkeypatch, True, answer)
    confirm_spend(load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run"), yes=False)
    assert said[-1] == "This costs money. Go on? [y/N]"
    assert any(line.startswith("cost") for line in said)


@pytest.mark.parametrize("answer", ["", "n", "what", None])
def test_anything_but_yes_stops_before_the_first_call(tmp_path, monkeypatch, answer):
    ask(monkeypatch, True, answer)
    with pytest.raises(TeacherError, match="nothing was asked or paid"):
        confirm_spend(load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run"), yes=False)


def test_with_yes_or_replies_on_disk_nothing_is_asked(tmp_path, monkeypatch):
    said = ask(monkeypatch, True)
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    confirm_spend(recipe, run, yes=True)
    journal(run, replies=1)
    confirm_spend(recipe, run, yes=False)
    assert said == ["teacher: m is paid; never above 5.00 USD in this run folder (budget_usd)"] * 2


def test_a_cap_of_less_than_a_cent_is_not_shown_as_nothing(tmp_path, monkeypatch):
    said = ask(monkeypatch, True)
    recipe = load_recipe(write_recipe(tmp_path), ["synthesis.budget_usd=0.002"])
    confirm_spend(recipe, RunFolder(tmp_path / "run"), yes=True)
    assert said == ["teacher: m is paid; never above 0.002 USD in this run folder (budget_usd)"]


def test_without_a_terminal_and_a_yes_nothing_is_spent(tmp_path, monkeypatch):
    said = ask(monkeypatch, False, "y")
    recipe, run = load_recipe(write_recipe(tmp_path)), RunFolder(tmp_path / "run")
    sentence = (
        r"^the teacher m costs money \(about [\d.]+ USD.*; never above 5\.00 USD in this run folder \(budget_usd\)\), "
        r"and there is no terminal to ask in, so nothing was asked or paid: add --yes \(Python: yes=True\) to agree$"
    )
    with pytest.raises(TeacherError, match=sentence):
        confirm_spend(recipe, run, yes=False)
    assert said == []
    journal(run, replies=1)
    confirm_spend(recipe, run, yes=False)
    assert said == ["teacher: m is paid; never above 5.00 USD in this run folder (budget_usd)"], "it was agreed to"


def test_a_free_or_recorded_teacher_is_no_matter_of_money(tmp_path, monkeypatch):
    said = ask(monkeypatch, True)
    (tmp_path / "j.jsonl").write_text("", encoding="utf-8")
    for teacher in (
        "{provider: recorded, model: m, journal: j.jsonl}",
        "{provider: endpoint, model: m, base_url: 'http://localhost/v1'}",
    ):
        recipe, run = load_recipe(write_recipe(tmp_path), [f"teacher={teacher}"]), RunFolder(tmp_path / "run")
        confirm_spend(recipe, run, yes=False)
        assert make_plan(recipe, run).cost.expected is None
    assert said == []


def test_a_plan_imports_nothing_heavy(tmp_path):
    import subprocess

    program = "import sys; from recipes.__main__ import main; main(sys.argv[1:]); print(sorted({'torch', 'numpy', 'pyarrow', 'rich'} & set(sys.modules)))"
    path = str(write_recipe(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", path], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")
    assert console.is_terminal.__module__ == "recipes.console"

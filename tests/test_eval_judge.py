"""A judge at a loopback server: both orders, flips, what cannot be read, what is paid, and what the report says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import response_runs
from stubs import TeacherStub

from eval.compare import compare
from eval.generate import Response
from eval.report import response_html
from eval.response_markdown import response_markdown
from eval.responses import ResponseComparison
from recipes.chat import Usage
from recipes.errors import TeacherError
from recipes.rows import ResponseRow, Turn, read_rows, write_rows
from recipes.runs import RunFolder

BASE = "base of tuned"


def shown(body: dict[str, Any]) -> tuple[str, str, str]:
    """Question, answer a and answer b as the judge saw them."""
    said = body["messages"][-1]["content"]
    found = re.search(r"Question:\n(.*?)\n\nFacts:\n.*?\n\nAnswer a:\n(.*?)\n\nAnswer b:\n(.*)", said, re.DOTALL)
    assert found is not None
    return found[1], found[2].strip(), found[3].strip()


def verdict(word: str) -> str:
    return json.dumps({"reason": "because", "verdict": word})


def likes_truth(body: dict[str, Any]) -> str:
    """The answer without the invented number; a tie where both or neither has it."""
    _, first, second = shown(body)
    if ("999" in first) == ("999" in second):
        return verdict("tie")
    return verdict("b" if "999" in first else "a")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    run = response_runs.run_in(tmp_path)
    rows = response_runs.make_rows(run, test=12)
    response_runs.make_student(run, response_runs.recipe_of())
    open_named = response_runs.speakers(
        rows, base={"errs": 0.8, "nats": 1.5}, tuned={"errs": 0.3, "silent": 1, "reworded": True}
    )
    monkeypatch.setattr("eval.responders._opener", lambda recipe, run, name, seed: lambda: open_named(name, seed))
    monkeypatch.setattr("eval.responders._base_opener", lambda recipe, run, name, seed: lambda: open_named("base"))
    return run


def judged(run: RunFolder, url: str, yes: bool = True, **judge: Any) -> ResponseComparison:
    section = {"provider": "endpoint", "model": "m-judge", "base_url": url, "retries": 1, "concurrency": 4} | judge
    found = compare(response_runs.recipe_of(evaluation={"resamples": 100, "judge": section}), run, yes)
    assert isinstance(found, ResponseComparison)
    return found


def test_every_pair_is_judged_in_both_orders(run: RunFolder) -> None:
    with TeacherStub(likes_truth) as stub:
        found = judged(run, stub.url)
    assert found.judge is not None
    teacher, base = found.judge.judged
    assert (teacher.other, teacher.against, base.other, base.against) == ("teacher", "teacher", BASE, "base")
    assert teacher.rows == base.rows == 11
    assert teacher.unscored == {"no response": 1}, "who says nothing is not put before a judge"
    assert "tied of 11; 1 not judged (1 no response); sign test" in found.verdicts[0].figures
    assert (teacher.wins, teacher.flips, base.flips) == (0, 0, 0)
    lines = list(read_rows(run.path / "predictions" / "tuned.seed-3407.jsonl", Response))
    assert teacher.losses == sum("999" in line.response for line in lines)
    assert max(stub.asked.values()) == 1, "a pair of texts that stands twice is judged once"
    pairs = [shown(seen.body) for seen in stub.seen]
    assert {(q, b, a) for q, a, b in pairs} == set(pairs), "each pair was seen the other way round too"
    said = stub.seen[0].body
    assert said["temperature"] == 0.0
    assert "tuned" not in json.dumps(said) and "teacher" not in json.dumps(said), "the judge sees no names"
    assert "They want it" not in json.dumps(said), "and no reasoning"


def test_a_judge_that_looks_at_places_has_no_preference(run: RunFolder) -> None:
    with TeacherStub(lambda body: verdict("a")) as stub:
        found = judged(run, stub.url)
    assert found.judge is not None
    teacher = found.judge.judged[0]
    assert (teacher.wins, teacher.losses, teacher.ties, teacher.flips) == (0, 0, 11, 11)
    assert (teacher.win_rate.value, teacher.first_wins, teacher.p) == (0.5, 1.0, 1.0)
    assert "has no clear preference between tuned and the teacher" in found.verdicts[0].claim
    assert "changed 100.0% of the verdicts" in found.verdicts[0].more
    assert "(tuned against teacher): it looks at places, and its word" in " ".join(found.warnings)


def test_a_judge_that_throws_a_coin_is_not_said_to_look_at_places(run: RunFolder) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", ResponseRow))
    place = {row.question: number for number, row in enumerate(rows)}
    with TeacherStub(lambda body: verdict("ab"[place[shown(body)[0]] % 2])) as stub:
        found = judged(run, stub.url)
    assert found.judge is not None
    one = found.judge.judged[0]
    assert (one.flips, one.first_wins) == (11, pytest.approx(5 / 11)), "the first for every other question"
    assert "(tuned against teacher): it is not consistent, and its word" in " ".join(found.warnings)
    assert "looks at places" not in " ".join(found.warnings)


def test_answers_that_are_the_same_are_a_tie_and_nobody_is_asked(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(read_rows(run.rows / "test.jsonl", ResponseRow))
    open_named = response_runs.speakers(rows, base={"errs": 1.0}, tuned={"errs": 0.0})
    monkeypatch.setattr("eval.responders._opener", lambda recipe, run, name, seed: lambda: open_named(name, seed))
    monkeypatch.setattr("eval.responders._base_opener", lambda recipe, run, name, seed: lambda: open_named("base"))
    with TeacherStub(likes_truth) as stub:
        found = judged(run, stub.url)
    assert found.judge is not None
    teacher, base = found.judge.judged
    assert (teacher.ties, teacher.flips, base.wins) == (12, 0, 12)
    assert stub.asked.total() == 2 * 12
    assert found.verdicts[1].claim == "The judge m-judge prefers tuned to its base"


def test_nothing_is_paid_twice_and_the_report_says_what_was(run: RunFolder) -> None:
    price = {"input": 1000.0, "output": 0.0}
    with TeacherStub(likes_truth, tokens=lambda body: Usage(100, 0, 10)) as stub:
        first = judged(run, stub.url, price=price, budget_usd=50)
        asked = stub.asked.total()
        again = judged(run, stub.url, price=price, budget_usd=60)
        assert stub.asked.total() == asked, "the same answers, the same verdicts"
    assert first.judge is not None and again.judge is not None
    assert first.judge.usd == pytest.approx(asked * 100 * 1000 / 1e6)
    assert again.judge.judged == first.judge.judged
    assert "in this run folder, all at this judge’s price" in response_html(again)
    assert (run.path / "judge" / "journal.jsonl").exists()


def test_what_judging_will_cost_is_an_estimate_and_says_so(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def mumbles(body: dict[str, Any]) -> str:
        return "the first one" if len(body["messages"]) == 2 else likes_truth(body)

    price = {"input": 0.0, "output": 1000.0}
    with TeacherStub(mumbles, tokens=lambda body: Usage(100, 0, 512)) as stub:
        found = judged(run, stub.url, price=price, budget_usd=500)
    told = re.search(r"(\d+) verdicts to ask for, (.*?) ([\d.]+) USD(.*)", capsys.readouterr().err)
    assert told is not None and found.judge is not None and found.judge.usd is not None
    assert found.judge.usd == pytest.approx(2 * float(told[3]), rel=0.01), "each was asked for twice"
    assert told[2] == "about"
    assert "more where one has to be asked for again; never above 500 USD" in told[4]


def test_in_a_terminal_the_first_paid_verdict_is_asked_for(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    price = {"input": 1.0, "output": 1.0}
    with TeacherStub(likes_truth) as stub:
        monkeypatch.setattr("recipes.console.is_terminal", lambda: False)
        with pytest.raises(TeacherError, match=r"the judge \S+ costs money \(about .* USD.*no terminal.*: add --yes"):
            judged(run, stub.url, yes=False, price=price, budget_usd=50)
        monkeypatch.setattr("recipes.console.is_terminal", lambda: True)
        monkeypatch.setattr("builtins.input", lambda: "what")
        with pytest.raises(TeacherError, match="stopped before the first call"):
            judged(run, stub.url, yes=False, price=price, budget_usd=50)
        assert not stub.asked
        monkeypatch.setattr("builtins.input", lambda: " Yes ")
        found = judged(run, stub.url, yes=False, price=price, budget_usd=50)
    assert found.judge is not None
    assert found.judge.judged[0].rows == 11


def test_a_budget_that_ends_leaves_the_rest_unscored(run: RunFolder) -> None:
    price = {"input": 1000.0, "output": 0.0}
    with TeacherStub(likes_truth, tokens=lambda body: Usage(100, 0, 10)) as stub:
        found = judged(run, stub.url, price=price, budget_usd=2, concurrency=1)
        assert found.judge is not None
        assert found.judge.usd is not None
        assert 0 < found.judge.usd <= 2
        left = sum(one.unscored.get("not asked", 0) for one in found.judge.judged)
        assert 0 < left < 22
        assert "Not all was judged: budget_usd 2 is reached" in " ".join(found.warnings)
        assert run.why_stale("report", {}) != []
        whole = judged(run, stub.url, price=price, budget_usd=500)
    assert whole.judge is not None
    assert whole.judge.judged[0].rows == 11
    assert max(stub.asked.values()) == 1, "those that were judged were not asked about again"


def test_what_cannot_be_read_is_asked_again_and_then_counted(run: RunFolder) -> None:
    def mumbles(body: dict[str, Any]) -> str:
        question, _, _ = shown({"messages": [body["messages"][1]]})
        if len(body["messages"]) == 2:
            return "I prefer the first one" if "red" in question else likes_truth(body)
        assert "cannot be used" in body["messages"][-1]["content"]
        return "still the first one"

    red = sum("red" in row.question for row in read_rows(run.rows / "test.jsonl", ResponseRow) if row.id != "test-0")
    assert red > 0
    with TeacherStub(mumbles) as stub:
        found = judged(run, stub.url, reask=1, against=["teacher"])
    assert found.judge is not None
    (teacher,) = found.judge.judged
    assert teacher.unscored["malformed"] == red
    assert teacher.rows == 11 - red
    assert f"tuned against teacher: {red + 1:,} questions have no verdict" in " ".join(found.warnings)


def test_a_judge_that_refuses_is_one_sentence(run: RunFolder) -> None:
    from stubs import Canned

    denied = Canned(401, {"error": {"message": "bad key"}})
    with TeacherStub(script=[denied] * 50) as stub, pytest.raises(TeacherError) as told:
        judged(run, stub.url)
    assert "the judge at" in str(told.value)
    assert "teacher" not in str(told.value)


def test_a_recorded_judge_needs_no_network(run: RunFolder, tmp_path: Path) -> None:
    with TeacherStub(likes_truth) as stub:
        first = judged(run, stub.url)
        address = stub.url
    kept = tmp_path / "verdicts.jsonl"
    kept.write_bytes((run.path / "judge" / "journal.jsonl").read_bytes())
    price = {"input": 1000.0, "output": 0.0}
    again = judged(run, address, provider="recorded", journal=str(kept), base_url=address, price=price)
    assert first.judge is not None and again.judge is not None
    assert again.judge.usd is None, "nobody paid for it here"
    assert "Judging has cost" not in response_html(again)
    assert again.judge.judged == first.judge.judged


def test_the_report_shows_the_judge(run: RunFolder) -> None:
    with TeacherStub(likes_truth) as stub:
        found = judged(run, stub.url)
    page, text = response_html(found), response_markdown(found)
    assert "What the judge says" in page
    assert "## Judged by m-judge" in text
    assert found.judge is not None
    row = next(line for line in text.splitlines() if line.startswith("| tuned - teacher | 11 |"))
    assert f"| {found.judge.judged[0].losses} |" in row


def test_a_conversation_is_judged_with_what_was_said_before(run: RunFolder) -> None:
    before = (Turn(role="system", content="Be brief."), Turn(role="user", content="Hello"))
    rows = [row.model_copy(update={"history": before}) for row in read_rows(run.rows / "test.jsonl", ResponseRow)]
    write_rows(run.rows / "test.jsonl", rows)
    sections = {
        "task": "chat",
        "source": {"path": "chats.jsonl", "messages": "messages"},
        "teacher": {"provider": "none", "model": "none"},
        "synthesis": {},
        "students": {"tuned": response_runs.student_of(format="chat")},
    }
    response_runs.make_student(run, response_runs.recipe_of(**sections))
    with TeacherStub(likes_truth) as stub:
        judge = {"provider": "endpoint", "model": "m-judge", "base_url": stub.url}
        found = compare(response_runs.recipe_of(**sections, evaluation={"resamples": 100, "judge": judge}), run, True)
        said = stub.seen[0].body["messages"][-1]["content"]
    assert isinstance(found, ResponseComparison)
    assert said.startswith("Question:\nsystem: Be brief.\nuser: Hello\nWhich ")
    assert "Facts:\n(none are given)" in said
    assert found.model("tuned").figure("grounded").value is None, "there are no facts to check against"
    assert found.examples[0].history == ("system: Be brief.", "user: Hello")
    assert found.judge is not None
    assert found.judge.judged[0].other == "reference"
    assert "| taken |" in response_markdown(found)


def test_a_judge_that_fails_is_said_to_and_why(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with TeacherStub(likes_truth, faults={"500": 0.5}, seed=1) as stub:
        found = judged(run, stub.url, retries=0)
    assert found.judge is not None
    failed = r"judge: (\d+) of (\d+) requests failed, most of them as server: 500: the server fell over"
    told = re.search(failed, capsys.readouterr().err)
    assert told is not None
    assert int(told[1]) == stub.struck["500"] > 0

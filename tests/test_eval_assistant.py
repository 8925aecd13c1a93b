"""The assistant's answers, scored: what its citations bear, what it makes up, and that nobody is asked twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rag_runs import RECIPE, WordEmbedder, product, shop, without_model
from stubs import Canned, TeacherStub
from test_eval_retrieval import ALONE

from eval.__main__ import main
from eval.assistant_answer import WITH, WITHOUT, Answered, bears, read_answer
from eval.assistant_scores import score_answers
from eval.kept_speaker import KeptReplies
from eval.retrieval_page import read_retrieval
from eval.retrieval_report import RetrievalReport
from eval.score_retrieval import score_retrieval
from rag.answers import Done
from rag.indexing import build_index
from rag.passages import Passage
from rag.speakers import Ask, Ending, Piece
from recipes.chat import Price, Usage
from recipes.errors import TeacherError
from recipes.queries import Query
from recipes.rows import Turn, read_rows
from recipes.runs import RunFolder, write_atomic
from recipes.schema import Evaluation, Recipe

PASSAGES = tuple(
    Passage(number, f"c{number}", f"d{number}", title, text, {}, {"price": price}, None, 1.0)
    for number, title, text, price in [
        (1, "Steel kettle", "A kettle of steel. It boils a litre in 240 seconds.", 20),
        (2, "Glass teapot", "A teapot of glass with a strainer.", 15),
    ]
)
QUERY = Query(query="Which kettle is quick?", relevant={"d1": 1.0})


def done(response: str, *cited: int, abstained: bool = False, **changes: Any) -> Done:
    return Done(Ending("stop", 100, 20), cited, changes.get("invented", 0), 0, abstained, response)


def read(response: str, *cited: int, mode: str = WITH, **changes: Any) -> Answered:
    return read_answer(QUERY, mode, done(response, *cited, **changes), PASSAGES, 1.5)


@pytest.mark.parametrize(
    ("sentence", "number", "borne"),
    [
        ("The steel kettle boils a litre in 240 seconds [1].", 1, True),
        ("The steel kettle boils a litre in 240 seconds [2].", 2, False),
        ("The steel kettle boils a litre in 90 seconds [1].", 1, False),
        ("It has a price of 20 [1].", 1, True),
        ("Pandas adore chewing fresh bamboo [1].", 1, False),
    ],
)
def test_what_a_passage_bears(sentence: str, number: int, borne: bool) -> None:
    assert bears(sentence, PASSAGES[number - 1], QUERY.query) is borne


def test_an_answer_is_read_sentence_by_sentence() -> None:
    said = (
        "The steel kettle boils a litre in 240 seconds [1][2]. It holds 900 pints. Yes. The teapot has a strainer [2]."
    )
    found = read(said, 1, 2, invented=1)
    assert (found.sentences, found.cited_sentences) == (3, 2), "Yes. says nothing by itself"
    assert (found.citations, found.borne) == (3, 2), "[1] and the second [2]; a teapot boils nothing"
    assert found.ungrounded == found.ungrounded_cited == ("It holds 900 pints.",)
    assert (found.right_source, found.invented, found.seconds) == (True, 1, 1.5)


def test_a_citation_after_the_full_stop_is_of_the_sentence_before_it() -> None:
    found = read("The steel kettle boils a litre in 240 seconds. [1]", 1)
    assert (found.cites, found.sentences, found.cited_sentences, found.citations, found.borne) == (True, 1, 1, 1, 1)


def test_figures_of_passages_that_are_not_cited_are_not_grounded_in_what_is() -> None:
    found = read("The teapot takes 240 seconds [2].", 2)
    assert found.ungrounded == ()
    assert found.ungrounded_cited == ("The teapot takes 240 seconds.",)
    assert found.right_source is False


def test_without_retrieval_nothing_is_cited() -> None:
    found = read("A kettle takes 240 seconds.", mode=WITHOUT)
    assert (found.citations, found.right_source, found.ungrounded) == (0, None, ())


def test_scores_by_hand() -> None:
    answers = [
        read("The steel kettle boils a litre in 240 seconds [1]. It is a kettle of steel [1].", 1),
        read("It holds 900 pints of soup. The teapot has a strainer [1].", 1),
        read("I could not find that.", abstained=True),
        read("Soup.").model_copy(update={"answerable": False, "right_source": None, "abstained": True}),
        read("The teapot has a strainer.").model_copy(update={"answerable": False, "right_source": None}),
        Answered(mode=WITH, query="long", answerable=True, failed="too long"),
    ]
    found = score_answers(answers, WITH, "m", Price(input=1.0, output=10.0), Evaluation(resamples=100))
    values = {name: figure.value for name, figure in found.figures.items()}
    assert values == {
        "grounded": pytest.approx(2 / 3), "grounded_cited": 0.5, "cited": pytest.approx(2 / 3),
        "cited_sentences": pytest.approx(3 / 5), "citation_precision": pytest.approx(2 / 3),
        "right_source": pytest.approx(2 / 3), "refused": pytest.approx(1 / 3), "let_through": 0.5,
    }  # fmt: skip
    assert (found.questions, found.answered, found.failed) == (6, 3, {"too long": 1})
    assert found.usd_per_1000 == pytest.approx((100 * 1 + 20 * 10) / 1e6 * 1000)
    machine = score_answers(answers, WITH, "m", None, Evaluation(resamples=100, machine_usd_per_hour=3.6))
    assert machine.usd_per_1000 == pytest.approx(1.5)
    assert score_answers(answers, WITH, "m", None, Evaluation(resamples=100)).usd_per_1000 is None


def cites(body: dict[str, Any]) -> str:
    """The first passage's own words, a figure of the model's own, and a citation that nobody supplied."""
    found = re.search(r"<passages>\n\[1\] (.*)\n(.*)", body["messages"][-1]["content"])
    if found is None:
        return "It has 4711 buttons."
    return f"{found[2]} [1] [77] See https://evil.example/x for more."


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    without_model(monkeypatch)
    monkeypatch.setattr("eval.searching.open_embedder", WordEmbedder)
    monkeypatch.setattr("eval.kept_speaker.PAUSES", (0.0, 0.0))
    return RunFolder(tmp_path / "run")


def score(
    folder: Path, run: RunFolder, url: str | None, price: dict[str, float] | None = None, **how: Any
) -> RetrievalReport:
    """The report of a catalogue of lamps, with an assistant behind `url` or one that quotes."""
    recipe = write_shop(folder, url, price, **how)
    build_index(recipe, run)
    return score_retrieval(recipe, run, yes=True)


def write_shop(folder: Path, url: str | None, price: dict[str, float] | None = None, **how: Any) -> Recipe:
    endpoint = {"base_url": url, "model": "m"} | ({"price": price} if price else {})
    assistant = {"model": "extractive"} if url is None else {"model": "endpoint", "endpoint": endpoint}
    section = {"resamples": 100, "retrieval": {"questions": 20, "answers": 10} | how}
    text = f"{ALONE}assistant: {json.dumps(assistant)}\nevaluation: {json.dumps(section)}\n"
    return shop(folder, [product(n) for n in range(60)], text=text)


def test_answers_with_and_without_retrieval(run: RunFolder, tmp_path: Path) -> None:
    with TeacherStub(cites) as stub:
        report = score(tmp_path, run, stub.url, {"input": 1.0, "output": 2.0})
    first, second = report.answers
    assert (first.name, second.name, report.assistant) == (WITH, WITHOUT, "m")
    assert first.questions == second.questions == 10
    assert first.figures["grounded"].value == 1.0
    assert first.figures["citation_precision"].value == 1.0
    assert second.figures["grounded"].value == 0.0, "4711 stands in no passage"
    assert "citation_precision" not in second.figures
    assert first.invented == first.answered
    assert first.silent == second.silent == 0
    assert first.stripped >= first.answered
    lines = list(read_rows(run.path / "retrieval" / "answers.jsonl", Answered))
    assert Counter(line.mode for line in lines) == {WITH: 10, WITHOUT: 10}
    plain = [seen.body for seen in stub.seen if "<passages>" not in seen.body["messages"][-1]["content"]]
    assert len(plain) == 10
    assert "passages" not in plain[0]["messages"][0]["content"], "who has no passages is told of none"
    tokens = [one for one in lines if one.mode == WITHOUT]
    usage = Usage(sum(one.prompt_tokens for one in tokens), 0, sum(one.completion_tokens for one in tokens))
    assert second.usd_per_1000 == pytest.approx(Price(input=1.0, output=2.0).cost(usage) * 100)
    page = (run.path / "retrieval.html").read_text(encoding="utf-8")
    assert "Citation precision" in page
    assert "without retrieval" in page
    assert "evil.example" not in page


def test_a_second_run_asks_for_what_is_new_alone(run: RunFolder, tmp_path: Path) -> None:
    with TeacherStub(cites) as stub:
        first = score(tmp_path, run, stub.url)
        asked = len(stub.seen)
        again = score(tmp_path, run, stub.url, questions=20, kind="sort")
        assert len(stub.seen) == asked, "the recipe changed, and no request with it"
        more = score(tmp_path, run, stub.url, answers=12)
    assert asked < len(stub.seen) <= asked + 4
    assert max(stub.asked.values()) == 1
    assert [one.figures for one in again.answers] == [one.figures for one in first.answers]
    assert [one.seconds_median for one in again.answers] == pytest.approx(
        [one.seconds_median for one in first.answers], abs=0.2
    )
    assert more.answers[0].questions == 12


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(run: RunFolder, tmp_path: Path) -> None:
    kept = run.path / "retrieval" / "replies.jsonl"
    with TeacherStub(cites, script=["ok"] * 5 + [Canned(401, {"error": {"message": "bad key"}})]) as stub:
        broken = score(tmp_path, run, stub.url)
        assert broken.failed
        assert "check the key" in broken.stopped
        assert sum(one.questions for one in broken.answers) < 10
        assert broken.of("hybrid") is not None, "retrieval is scored all the same"
        assert len(KeptReplies(kept)) == 5
        with kept.open("ab") as file:
            file.write(b'{"key": "half of a li')
        whole = score(tmp_path, run, stub.url)
    assert not whole.stopped
    assert [one.questions for one in whole.answers] == [10, 10]
    assert sorted(stub.asked.values())[-2:] == [1, 2], "but for the one that failed"
    assert len(stub.seen) == len(KeptReplies(kept)) + 1


KILLED = """
import sys
sys.path[:0] = sys.argv[1:3]
import rag.indexing_pass, eval.searching
from rag_runs import RECIPE, WordEmbedder
rag.indexing_pass.open_embedder = eval.searching.open_embedder = WordEmbedder
from eval.__main__ import main
main(sys.argv[3:])
"""


def test_a_run_that_was_killed_goes_on_and_asks_again_only_what_was_on_its_way(run: RunFolder, tmp_path: Path) -> None:
    tests, started = Path(__file__).parent, threading.Event()
    child: list[subprocess.Popen[bytes]] = []

    def answer(body: dict[str, Any]) -> str:
        if len(stub.seen) == 6 and child:
            started.wait(10)
            child[0].kill()
            child[0].wait()
        return cites(body)

    with TeacherStub(answer) as stub:
        write_shop(tmp_path, stub.url)
        words = [str(tests), str(tests.parent), str(tmp_path / "shop.yaml"), "--run", str(run.path)]
        child.append(subprocess.Popen([sys.executable, "-c", KILLED, *words]))
        started.set()
        assert child[0].wait(60) == -signal.SIGKILL
        whole = score(tmp_path, run, stub.url)
    assert not whole.stopped
    assert Counter(stub.asked.values())[2] == 1
    assert max(stub.asked.values()) == 2
    assert len(KeptReplies(run.path / "retrieval" / "replies.jsonl")) == len(stub.seen) - 1


class Parrot:
    """A student that says where its passages are."""

    name, context, turns = "students.s", 2000, False

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    def count(self, messages: Sequence[Turn]) -> int:
        return sum(len(one.content.split()) for one in messages)

    async def say(self, ask: Ask) -> AsyncGenerator[Piece | Ending, None]:
        self.asked.append(ask)
        yield Piece("Hm.", thought=True)
        yield Piece("See [1].")
        yield Ending("stop", self.count(ask.messages), 4)


def test_a_student_is_asked_again_once_it_was_trained_anew(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parrot = Parrot()

    @asynccontextmanager
    async def opened(recipe: Recipe, run: RunFolder) -> AsyncIterator[Parrot]:
        yield parrot

    monkeypatch.setattr("eval.assistant_answers.open_speaker", opened)
    section = json.dumps({"resamples": 100, "machine_usd_per_hour": 1.0, "retrieval": {"questions": 9, "answers": 4}})
    text = f"{RECIPE}assistant: {{model: students.s}}\nevaluation: {section}\n"
    recipe = shop(tmp_path, [product(n) for n in range(60)], text=text)
    build_index(recipe, run)
    write_atomic(run.student("s") / "student.json", b"{}")
    report = score_retrieval(recipe, run)
    once = len(parrot.asked)
    assert 4 <= once <= 8
    assert all(name in (WITH, WITHOUT) for name in (one.name for one in report.answers))
    assert (report.answers[0].usd_per_1000 or 0) > 0
    assert score_retrieval(recipe, run) == report
    write_atomic(run.student("s") / "student.json", b'{"trained": "anew"}')
    score_retrieval(recipe, run)
    assert len(parrot.asked) == 2 * once


def test_a_budget_ends_the_asking_and_a_higher_one_goes_on(run: RunFolder, tmp_path: Path) -> None:
    price = {"input": 100.0, "output": 100.0}
    with TeacherStub(cites) as stub:
        short = score(tmp_path, run, stub.url, price, budget_usd=0.15)
        spent = KeptReplies(run.path / "retrieval" / "replies.jsonl").usage
        assert Price.model_validate(price).cost(spent) <= 0.15
        assert "evaluation.retrieval.budget_usd (0.15 USD) does not cover the next answer" in short.stopped
        assert not short.failed
        assert 0 < len(stub.seen) < 15
        assert not (run.manifest("retrieval") or pytest.fail("no manifest")).complete
        whole = score(tmp_path, run, stub.url, price, budget_usd=50.0)
    assert not whole.stopped
    assert max(stub.asked.values()) == 1


def test_what_passes_is_asked_again(run: RunFolder, tmp_path: Path) -> None:
    with TeacherStub(cites, script=["ok", "500", "429_plain", "ok"]) as stub:
        report = score(tmp_path, run, stub.url)
    assert not report.stopped
    assert max(stub.asked.values()) == 3


@pytest.mark.parametrize("said", ["", "<think>Hm.</think>", "[77]"])
def test_a_model_that_writes_nothing_is_not_given_the_credit(run: RunFolder, tmp_path: Path, said: str) -> None:
    with TeacherStub(lambda body: said) as stub:
        report = score(tmp_path, run, stub.url)
    asked = sum("<passages>" in seen.body["messages"][-1]["content"] for seen in stub.seen)
    assert asked > 0
    assert [one.silent for one in report.answers] == [asked, 10]
    assert any(f"nothing of use for {asked} of 10 questions with retrieval" in one for one in report.warnings)


def test_an_assistant_that_quotes_has_nothing_to_say_without_retrieval(run: RunFolder, tmp_path: Path) -> None:
    report = score(tmp_path, run, None)
    (only,) = report.answers
    assert only.name == WITH
    assert only.figures["grounded"].value == 1.0
    assert only.figures["cited"].value == 1.0
    assert only.usd_per_1000 is only.prompt_tokens is None
    assert "there is nothing to answer without retrieval" in (run.path / "retrieval.html").read_text(encoding="utf-8")


def test_a_missing_key_stops_the_assistant_and_not_the_scores(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with TeacherStub(cites) as stub:
        score(tmp_path, run, stub.url)
        override = f"assistant.endpoint={{base_url: '{stub.url}', model: m, key_env: NO_SUCH_KEY}}"
        with pytest.raises(TeacherError, match=r"NO_SUCH_KEY is not set.*what it has answered is kept"):
            main([str(tmp_path / "shop.yaml"), "--run", str(run.path), "--set", override])
    assert "vectors alone" in capsys.readouterr().out
    report = read_retrieval(run)
    assert report is not None
    assert (report.answers, report.failed) == ((), True)

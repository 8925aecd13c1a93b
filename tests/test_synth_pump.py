"""The pump against a teacher that misbehaves: nothing lost, nothing asked twice, one sentence where it cannot go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import dedent

import pytest
from asking import ask, question, teacher
from stubs import Canned, TeacherStub

from recipes.chat import ChatRequest, Reply
from recipes.errors import RunError, TeacherError
from synth import breaker, pump, retries
from synth.entries import Failure
from synth.faults import Fault
from synth.journal import Journal
from synth.pump import Lookup


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_BACKOFF", 0.005)
    monkeypatch.setattr(retries, "LONGEST_BACKOFF", 0.05)
    monkeypatch.setattr(pump, "GRACE_SECONDS", 0.3)


def stored(path: Path, where: object, rows: range) -> list[Reply | Failure | None]:
    with Journal.open(path, readonly=True) as journal:
        return [journal.get(question(where, row).key()) for row in rows]


def test_twenty_percent_faults_lose_and_double_nothing(tmp_path: Path) -> None:
    faults = dict.fromkeys(("429", "429_plain", "500", "reset", "cut", "empty", "html"), 0.025)
    rows = range(2_000)
    with TeacherStub(faults={**faults, "length": 0.015, "silent": 0.01}, seed=4) as stub:
        where = teacher(stub.url, concurrency=64, timeout=0.4, retries=8)
        done = ask(where, tmp_path / "j.jsonl", rows)
        calls = sum(stub.asked.values())
    assert sorted(done, key=int) == list(rows), "every row is done, once"
    assert all(stub.struck[kind] for kind in [*faults, "length", "silent"])
    assert calls <= 1.35 * len(rows)
    with Journal.open(tmp_path / "j.jsonl") as journal:
        assert journal.damaged == 0 and journal.failures == 0
        for row in rows:
            reply = journal.get(question(where, row).key())
            assert isinstance(reply, Reply) and f"text: {row}" in reply.text


def test_a_finished_run_is_read_again_without_a_call(tmp_path: Path) -> None:
    with TeacherStub() as stub:
        where = teacher(stub.url)
        ask(where, tmp_path / "j.jsonl", range(300))
        before = len(stub.seen)
        assert ask(where, tmp_path / "j.jsonl", range(301)) == list(range(301))
        assert len(stub.seen) == before + 1, "a new row asks for itself alone"


def test_equal_requests_share_one_call(tmp_path: Path) -> None:
    with TeacherStub(latency=0.02) as stub:
        rows = ["same", "other", "same", "same", "other"]
        assert sorted(ask(teacher(stub.url), tmp_path / "j.jsonl", rows)) == sorted(rows)
        assert stub.asked == {"text: same": 1, "text: other": 1}


def test_concurrency_is_bounded_and_used(tmp_path: Path) -> None:
    with TeacherStub(latency=0.05) as stub:
        ask(teacher(stub.url, concurrency=7), tmp_path / "j.jsonl", range(40))
        assert stub.most_in_flight == 7


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_wrong_request_fails_alone_and_is_never_sent_again(tmp_path: Path, status: int) -> None:
    path, rows = tmp_path / "j.jsonl", range(10)
    with TeacherStub(script=["ok"] * 3 + [Canned(status, {"error": {"message": "too long"}})]) as stub:
        where = teacher(stub.url, concurrency=1)
        assert ask(where, path, rows) == list(rows)
        assert ask(where, path, rows) == list(rows)
        assert set(stub.asked.values()) == {1}
    found = stored(path, where, rows)
    assert found[3] == Failure("rejected", f"{status}: too long")
    assert all(isinstance(one, Reply) for place, one in enumerate(found) if place != 3)


def test_requests_that_are_all_wrong_are_the_recipes_fault(tmp_path: Path) -> None:
    wrong = Canned(400, {"error": {"message": "response_format is not supported"}})
    with TeacherStub(script=[wrong] * 1000) as stub:
        where = teacher(stub.url, concurrency=4)
        with pytest.raises(TeacherError, match=r"refused every request so far as wrong \(400: response_format"):
            ask(where, tmp_path / "j.jsonl", range(500))
        assert len(stub.seen) <= breaker.REJECTIONS + 4
        stub.script.clear()
        assert len(ask(where, tmp_path / "j.jsonl", range(50))) == 50, "and they can be asked when it is mended"
        stub.script = [wrong] * 3
        ask(where, tmp_path / "few.jsonl", range(3))
    assert (
        stored(tmp_path / "few.jsonl", where, range(3))
        == [Failure("rejected", "400: response_format is not supported")] * 3
    )


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (401, "bad key", r"refused a call without a key .*401: bad key"),
        (403, "not yours", "403: not yours"),
        (404, "no such model", r"does not know the model 'm' or the path \(404: no such model\): check teacher.model"),
        (402, "pay", "credit is used up"),
        (429, "You exceeded your current quota, code: insufficient_quota", "credit is used up"),
        (302, "", "redirects elsewhere .* keys are not sent on"),
    ],
)
def test_what_no_retry_can_help_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, message: str, sentence: str
) -> None:
    monkeypatch.setattr(breaker, "HEAD_START", 60.0)
    canned = Canned(status, {"error": {"message": message}}, {"location": "http://127.0.0.1:9/v1"})
    with TeacherStub(script=[canned] * 100) as stub:
        with pytest.raises(TeacherError, match=sentence):
            ask(teacher(stub.url), tmp_path / "j.jsonl", range(100))
        assert len(stub.seen) == 1, "the first call is alone, so it is said once"


def test_a_slow_first_answer_keeps_nobody_waiting_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "HEAD_START", 0.01)
    with TeacherStub(latency=0.5) as stub:
        ask(teacher(stub.url, concurrency=7), tmp_path / "j.jsonl", range(7))
        assert stub.most_in_flight == 7


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "NEVER_THERE", 0.1)
    with TeacherStub() as stub:
        url = stub.url
    with pytest.raises(TeacherError, match=rf"nothing answers at {url} .*: is the server running"):
        ask(teacher(url), tmp_path / "j.jsonl", range(1000))


def test_an_outage_opens_the_circuit_and_costs_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "NO_LONGER_WELL", 0.3)
    monkeypatch.setattr(retries, "LONGEST_BACKOFF", 0.3)
    path = tmp_path / "j.jsonl"
    with TeacherStub(script=["ok"] * 50 + ["503"] * 10_000) as stub:
        where = teacher(stub.url, concurrency=8, retries=20)
        with pytest.raises(
            TeacherError, match=r"answered none of the last calls \(server, 503: the server fell over\)"
        ):
            ask(where, path, range(5_000))
        assert len(stub.asked) <= 50 + 10 * 8, "new rows are not thrown at a server that is down"
        stub.script.clear()
        with Journal.open(path) as journal:
            assert (journal.replies, journal.failures) == (50, 0)
        assert len(ask(where, path, range(200))) == 200


def test_a_short_outage_is_waited_out(tmp_path: Path) -> None:
    with TeacherStub(script=["ok"] * 20 + ["503"] * 30) as stub:
        assert len(ask(teacher(stub.url, concurrency=8), tmp_path / "j.jsonl", range(100))) == 100


def test_a_row_that_never_succeeds_fails_and_is_asked_again_next_time(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with TeacherStub(script=["ok", "500", "ok"]) as stub:
        where = teacher(stub.url, concurrency=1, retries=0)
        assert ask(where, path, range(5)) == list(range(5))
        with Journal.open(path) as journal:
            assert (journal.replies, journal.failures) == (4, 1)
        assert sorted(ask(where, path, range(5)), key=int) == list(range(5))
        assert sum(stub.asked.values()) == 6
    assert all(isinstance(one, Reply) for one in stored(path, where, range(5)))


def test_retry_after_delays_its_own_request_only(tmp_path: Path) -> None:
    with TeacherStub(script=["ok"] * 4 + ["429"], retry_after=0.5) as stub:

        def rows() -> Iterator[int]:  # which of them was told to wait: two are in flight, and either may come first
            yield from takewhile(lambda _: all(count < 2 for count in stub.asked.copy().values()), range(100_000))

        done = ask(teacher(stub.url, concurrency=2), tmp_path / "j.jsonl", rows())
    texts = [seen.body["messages"][-1]["content"] for seen in stub.seen]
    tries = [place for place, text in enumerate(texts) if text == texts[4]]
    assert len(tries) == 2 and tries[1] - tries[0] > 4, "others went on while it waited"
    assert sorted(done, key=int) == list(range(len(done)))


def test_the_wait_before_a_retry_is_the_providers_or_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, down = Fault("rate_limited", "slow down", 429, retry_after=0.5), Fault("server", "down", 503)
    assert 0.5 <= (retries.wait_before_retry(busy, 1, 0, 6) or 0) <= 0.525
    monkeypatch.setattr(retries, "FIRST_BACKOFF", 8.0)
    monkeypatch.setattr(retries, "LONGEST_BACKOFF", 30.0)
    waits = [retries.wait_before_retry(down, 0, broken, 6) for broken in range(1, 8)]
    assert waits.pop() is None, "six retries, and no more"
    bounds = [(4, 8), (8, 16), *[(15, 30)] * 4]
    assert all(least <= (wait or 0) <= most for wait, (least, most) in zip(waits, bounds, strict=True))
    assert retries.wait_before_retry(busy, 18, 3, 6) is not None, "a 429 says little about its request"
    assert retries.wait_before_retry(busy, 19, 0, 6) is None
    assert retries.wait_before_retry(Fault("rejected", "bad", 400), 0, 1, 6) is None


def test_votes_and_follow_up_questions(tmp_path: Path) -> None:
    """Three votes per row; a vote whose first reply does not parse is asked again with that reply shown."""

    def answer(body: dict) -> str:
        return "good" if len(body["messages"]) > 2 or "text: 1" not in body["messages"][-1]["content"] else "bad"

    with TeacherStub(answer) as stub:
        where = teacher(stub.url)

        def missing(row: object, lookup: Lookup) -> list[ChatRequest]:
            wanted = []
            for sample in range(3):
                first = question(where, row, sample=sample)
                found = lookup(first)
                if isinstance(found, Reply) and found.text == "bad":
                    again = first.messages[-1].__class__("user", "again")
                    first = ChatRequest(first.endpoint, "m", (*first.messages, again), first.sampling, None, sample)
                    found = lookup(first)
                wanted += [first] if found is None else []
            return wanted

        assert sorted(ask(where, tmp_path / "j.jsonl", range(4), missing=missing), key=int) == [0, 1, 2, 3]
        assert sum(stub.asked.values()) == 4 * 3 + 3


def test_items_are_pulled_only_as_needed(tmp_path: Path) -> None:
    pulled = 0

    def rows() -> Iterator[int]:
        nonlocal pulled
        while pulled < 10_000:
            pulled += 1
            yield pulled

    with TeacherStub(script=["ok"] * 100 + [Canned(401, {})]) as stub, pytest.raises(TeacherError):
        ask(teacher(stub.url, concurrency=4), tmp_path / "j.jsonl", rows())
    assert pulled <= 120


def test_a_full_disk_ends_the_run_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, left = tmp_path / "j.jsonl", os.write, [40]

    def write(fd: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    with TeacherStub() as stub:
        where = teacher(stub.url)
        with monkeypatch.context() as patch:
            patch.setattr("synth.journal_file.os.write", write)
            with pytest.raises(RunError, match="the disk is full"):
                ask(where, path, range(500))
        assert len(ask(where, path, range(500))) == 500
        again = sum(count - 1 for count in stub.asked.values())
        assert again <= where.concurrency


PROGRAM = """
    import signal, sys
    from pathlib import Path
    from asking import ask, teacher
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ask(teacher(sys.argv[1], concurrency=8), Path(sys.argv[2]), range(int(sys.argv[3])))
"""


def start(url: str, path: Path, rows: int) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", dedent(PROGRAM), url, str(path), str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(stub: TeacherStub, calls: int, process: subprocess.Popen[str]) -> None:
    while sum(stub.answered.values()) < calls and process.poll() is None:
        time.sleep(0.005)


def test_kill_9_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    path, rows, kills = tmp_path / "j.jsonl", 600, 4
    with TeacherStub(latency=0.01) as stub:
        for kill in range(kills):
            process = start(stub.url, path, rows)
            wait_for(stub, (kill + 1) * 110, process)
            process.kill()
            process.communicate()
        last = start(stub.url, path, rows)
        assert last.wait() == 0, last.communicate()[1]
        last.communicate()
        calls = sum(stub.asked.values())
        where = teacher(stub.url, concurrency=8)
    assert all(isinstance(one, Reply) for one in stored(path, where, range(rows)))
    with Journal.open(path) as journal:
        assert journal.replies == rows, "no reply twice"
    assert rows <= calls <= rows + kills * 8


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    path, rows = tmp_path / "j.jsonl", 2_000
    with TeacherStub(latency=0.05) as stub:
        process = start(stub.url, path, rows)
        wait_for(stub, 40, process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        calls = sum(stub.asked.values())
        assert process.returncode not in (0, None)
        assert "calls on their way may still come back" in said
        assert "rows settled; run the same command to go on from here" in said
        with Journal.open(path) as journal:
            assert journal.replies == calls, "what was in flight was waited for"
        assert calls < rows


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_drops_the_calls_that_a_stopped_asking_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(sentence: str) -> None:
        assert "Ctrl-C drops them" in sentence
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    def missing(row: object, lookup: Lookup) -> list[ChatRequest]:
        if lookup(question(where, row)) is not None:
            raise pump.Enough("enough of it")
        return [question(where, row)]

    monkeypatch.setattr(breaker, "HEAD_START", 0.01)
    monkeypatch.setattr(pump, "say", say)
    with TeacherStub(script=["ok", "silent"], latency=0.3) as stub:
        where = teacher(stub.url, concurrency=2, timeout=20.0, retries=0)
        with pytest.raises(pump.Enough, match="enough of it"):
            ask(where, tmp_path / "j.jsonl", range(2), missing=missing)
    with Journal.open(tmp_path / "j.jsonl") as journal:
        assert (journal.replies, journal.failures) == (1, 0)


def test_ctrl_c_is_left_alone_outside_the_main_thread(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    done: list[object] = []
    with TeacherStub() as stub:
        thread = threading.Thread(target=lambda: done.extend(ask(teacher(stub.url), tmp_path / "j.jsonl", range(5))))
        thread.start()
        thread.join(20)
    assert len(done) == 5
    assert signal.getsignal(signal.SIGINT) is before

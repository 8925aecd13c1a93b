"""What bad, slow and vanishing clients can do to the server: nothing that others notice."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from talking import At, Talker, raw, serving

from rag.connections import Patience

GOOD = {"messages": [{"role": "user", "content": "kettle?"}]}
HASTY = Patience(head_seconds=0.3, body_seconds=0.3, write_seconds=0.5, idle_seconds=1, connections=20)


@pytest.fixture(scope="module")
def at():
    with serving(Talker(), patience=HASTY, max_body_bytes=4096) as at:
        yield at


def request(body: bytes | dict, *headers: str, path: str = "/v1/chat/completions", length: int | None = None) -> bytes:
    """A POST as bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = ["Host: localhost", "Content-Type: application/json", *headers]
    if not any("transfer-encoding" in header.lower() for header in headers):
        fields.append(f"Content-Length: {len(content) if length is None else length}")
    return f"POST {path} HTTP/1.1\r\n".encode() + "\r\n".join(fields).encode("latin-1") + b"\r\n\r\n" + content


@contextmanager
def asking(at: At, question: str, stream: bool = True) -> Iterator[socket.socket]:
    """A connection with a question on its way."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        line.settimeout(20)
        line.connect(("127.0.0.1", at.port))
        line.sendall(request({"messages": [{"role": "user", "content": question}], "stream": stream}))
        yield line


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def is_well(at: At) -> None:
    """A good client is answered."""
    answer = httpx.post(at.url + "/v1/chat/completions", json=GOOD, timeout=20)
    assert answer.status_code == 200 and "kettle" in answer.text


class TestLeaving:
    def test_a_client_that_leaves_a_stream_frees_its_slot(self) -> None:
        talker = Talker()
        with serving(talker, concurrency=1, queue=0) as at:
            with asking(at, "slow") as line:
                assert line.recv(100)
                assert httpx.post(at.url + "/v1/chat/completions", json=GOOD).status_code == 429
            assert talker.ended.acquire(timeout=20)
            at.until(lambda: at.service.slots.answering == 0)
            is_well(at)
            assert 'answers_total{end="departed"} 1.0' in httpx.get(at.url + "/metrics").text

    def test_so_does_one_that_waits_for_a_whole_answer(self) -> None:
        talker = Talker()
        with serving(talker, concurrency=1, queue=0) as at:
            with asking(at, "slow", stream=False):
                assert talker.began.acquire(timeout=20)
            assert talker.ended.acquire(timeout=20)
            at.until(lambda: at.service.slots.answering == 0)
            is_well(at)

    def test_one_that_leaves_the_queue_is_never_answered(self) -> None:
        talker = Talker()
        with serving(talker, concurrency=1, queue=1) as at:
            with asking(at, "slow") as line:
                assert line.recv(100)
                with asking(at, "waiting"):
                    at.until(lambda: at.service.slots.waiting == 1)
                    assert httpx.post(at.url + "/v1/chat/completions", json=GOOD).status_code == 429
                at.until(lambda: at.service.slots.waiting == 0)
            is_well(at)
            assert [messages[-1].content for messages, _ in talker.asked] == ["slow", "kettle?"]

    def test_a_full_queue_says_when_to_come_again(self) -> None:
        with serving(Talker(), concurrency=1, queue=0) as at, asking(at, "slow") as line:
            assert line.recv(100)
            answer = httpx.post(at.url + "/v1/chat/completions", json=GOOD)
            assert answer.status_code == 429 and answer.headers["retry-after"] == "2"
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
            assert httpx.get(at.url + "/health").json() == {
                "status": "ok", "index": "current", "answering": 1, "waiting": 0,
            }  # fmt: skip

    def test_no_more_are_answered_at_once_than_the_recipe_says(self) -> None:
        talker = Talker(pause=0.02)
        with serving(talker, concurrency=2, queue=20) as at, ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: is_well(at), range(10)))
            assert talker.most == 2


class TestSlow:
    def test_a_head_that_does_not_come_is_not_waited_for(self, at: At) -> None:
        assert raw(at.port, b"") == b""
        assert raw(at.port, b"GET / HTTP/1.1\r\nHost:") == b""

    def test_nor_one_that_trickles(self, at: At) -> None:
        def trickle() -> Iterator[bytes]:
            for _ in range(1000):
                time.sleep(0.02)
                yield b"x"

        assert raw(at.port, b"GET / HTTP/1.1\r\nX: ", trickle()) == b""  # type: ignore[arg-type]

    def test_the_second_request_of_a_connection_has_no_more_time(self, at: At) -> None:
        answer = raw(at.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
        assert answer.count(b"HTTP/1.1") == 1 and status(answer) == 200

    def test_a_body_that_does_not_come_is_a_408(self, at: At) -> None:
        answer = raw(at.port, request(b'{"messages', length=500))
        assert status(answer) == 408 and b"connection: close" in answer

    def test_a_client_that_does_not_read_is_cut_off(self) -> None:
        talker = Talker()
        with serving(talker, patience=HASTY) as at, asking(at, "flood"):
            assert talker.ended.acquire(timeout=20)
            at.until(lambda: at.service.slots.answering == 0)

    def test_slow_clients_keep_nobody_from_an_answer(self, at: At) -> None:
        lines = [socket.create_connection(("127.0.0.1", at.port)) for _ in range(10)]
        for line in lines:
            line.sendall(b"POST / HTTP/1.1\r\n")
        is_well(at)
        for line in lines:
            line.close()

    def test_more_connections_than_there_may_be_are_told_so(self) -> None:
        with serving(Talker(), patience=Patience(connections=3)) as at:
            lines = [socket.create_connection(("127.0.0.1", at.port)) for _ in range(3)]
            at.until(lambda: len(at.server.server_state.connections) == 3)
            assert status(raw(at.port, b"")) == 503
            for line in lines:
                line.close()
            at.until(lambda: len(at.server.server_state.connections) == 0)
            is_well(at)


class TestLarge:
    def test_a_body_over_the_limit_is_a_413_whether_it_says_so_or_not(self, at: At) -> None:
        large = {"messages": [{"role": "user", "content": "x" * 5000}]}
        answer = httpx.post(at.url + "/v1/chat/completions", json=large)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "body_too_large"

        def parts() -> Iterator[bytes]:
            yield from [b" " * 1000] * 20

        answer = httpx.post(
            at.url + "/v1/chat/completions", content=parts(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413

    def test_a_client_that_sends_a_large_body_reads_why_it_was_refused(self, at: At) -> None:
        for _ in range(5):
            answer = httpx.post(at.url + "/v1/chat/completions", json={"messages": "x" * 3_000_000})
            assert answer.status_code == 413

    def test_one_that_asks_first_need_not_send_it(self, at: At) -> None:
        answer = raw(at.port, request(b"", "Expect: 100-continue", length=10**9))
        assert status(answer) == 413 and b"100 Continue" not in answer

    def test_one_that_asks_first_may_send_what_is_small_enough(self, at: At) -> None:
        body = json.dumps(GOOD).encode()
        head = request(b"", "Expect: 100-continue", "Connection: close", length=len(body))
        with socket.create_connection(("127.0.0.1", at.port), timeout=20) as line:
            line.sendall(head)
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
            line.sendall(body)
            assert status(line.recv(1000)) == 200

    @pytest.mark.parametrize(
        "head", [b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"],
    )  # fmt: skip
    def test_a_head_over_the_limit_is_a_400(self, at: At, head: bytes) -> None:
        assert status(raw(at.port, head)) in (400, 0)  # 0: cut while it was still being sent
        is_well(at)

    def test_a_deep_or_wide_body_costs_nothing(self, at: At) -> None:
        for body in (
            b"[" * 4000,
            b'{"a":' * 600,
            b"[" + b"1," * 1900 + b"1]",
            b'{"messages":' + b"[" * 900 + b"]" * 900 + b"}",
        ):
            assert status(raw(at.port, request(body, "Connection: close"))) == 400


LIES = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"\x00" * 500,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  /  HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",  # no host
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /%ff%00%c0%af..%2f..%2fetc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    request(b"", "Transfer-Encoding: chunked") + b"zz\r\n",
    request(b"", "Transfer-Encoding: chunked") + b"5\r\nabc\r\n0\r\n\r\n",
    request(b"", "Transfer-Encoding: chunked") + b"ffffffffffffffff\r\nabc",
    request(b"", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    request(b"{}", "Transfer-Encoding: chunked", "Content-Length: 3") + b"0\r\n\r\n",
    request(b"{}", length=-1),
    request(b"{}", length=10**30),
    request(b"{}", "Content-Length: 7"),
    request(b"{}", "Content-Encoding: gzip", "Connection: close"),
    request(b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "Connection: close"),
    request(b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "Connection: close"),
    request(b"null", "Connection: close"),
    request(b"{}", "Authorization: Bearer \xff", "Connection: close"),
    request(b"{}", "X: a\nb"),
    request(b"{}", path="/v1/feedback") + b"GET / HTTP/1.1\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_what_is_not_quite_http_gets_a_4xx_or_nothing(at: At, lie: bytes) -> None:
    assert status(raw(at.port, lie)) in (*range(400, 500), 0)
    is_well(at)


def test_mutated_requests_crash_nothing(at: At) -> None:
    """Valid requests with a few bytes changed, cut, doubled or swapped."""
    rng = random.Random(4)
    seeds = [
        request({**GOOD, "stream": True, "max_tokens": 5, "stop": ["x"], "where": {"a": 1}}, "Connection: close"),
        request({"id": "x", "rating": "up", "comment": "y"}, "Connection: close", path="/v1/feedback"),
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ]

    def attack(number: int) -> int:
        data = bytearray(seeds[number % 3])
        for _ in range(draws.randrange(1, 6)):
            place = draws.randrange(len(data))
            kind = draws.randrange(4)
            if kind == 0:
                data[place] = draws.randrange(256)
            elif kind == 1:
                del data[place : place + draws.randrange(1, 30)]
            elif kind == 2:
                data[place:place] = data[place : place + draws.randrange(1, 30)]
            else:
                data[place:place] = draws.choice([b"\x00", b"\r\n", b"\xff", b"9" * 30, b'"', b"[" * 50, b"{", b": "])
            if not data:
                return 0
        return status(raw(at.port, bytes(data)))

    draws = rng
    before = len(at.log)
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(attack, range(400)))
    assert not any(answer >= 500 for answer in answers), answers
    assert not any("Traceback" in line for line in at.log[before:])
    is_well(at)


def test_answers_under_way_are_finished_when_the_server_ends() -> None:
    talker = Talker(pause=0.1)
    answers: list[httpx.Response] = []
    with serving(talker) as at:
        thread = threading.Thread(target=lambda: answers.append(httpx.post(at.url + "/v1/chat/completions", json=GOOD)))
        thread.start()
        assert talker.began.acquire(timeout=20)
        at.server.should_exit = True
        thread.join(20)
    assert answers[0].status_code == 200 and "20 pounds" in answers[0].text

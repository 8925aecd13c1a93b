"""One call over HTTP: what comes back as a Reply, what as a Fault, and where the key goes."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from asking import ask, question, teacher
from stubs import Canned, TeacherStub

from recipes.chat import ChatRequest, Message, Reply, Sampling, TokenLogprobs, Usage
from recipes.errors import TeacherError, TutelageError
from recipes.keys import redact
from recipes.schema import Teacher
from synth import breaker, endpoint, pump, retries
from synth.completions import read_allowance, read_completion, retry_after
from synth.faults import Fault
from synth.journal import Journal
from synth.rates import Allowance
from synth.teacher import open_teacher

CANARY = "canary-3f9a8b7c6d5e4f3a2b1c"


def call(where: Teacher, requests: Sequence[ChatRequest], folder: Path = Path()) -> list[Reply | Fault]:
    """What the teacher makes of each request, one after the other."""

    async def run() -> list[Reply | Fault]:
        found: list[Reply | Fault] = []
        async with open_teacher(where, folder) as model:
            for request in requests:
                try:
                    found.append(await model.complete(request))
                except Fault as fault:
                    found.append(fault)
        return found

    return asyncio.run(run())


def one(where: Teacher, folder: Path = Path()) -> Reply | Fault:
    return call(where, [question(where, "x")], folder)[0]


def fault_of(script: Canned | str, **fields: object) -> Fault:
    with TeacherStub(script=[script]) as stub:
        found = one(teacher(stub.url, **fields))
    assert isinstance(found, Fault)
    return found


def test_the_request_is_openais_and_the_reply_is_read_whole() -> None:
    message = {"role": "assistant", "content": "positive ü", "reasoning_content": "long thoughts"}
    with TeacherStub(lambda body: message, tokens=lambda body: Usage(90, 64, 3)) as stub:
        where = teacher(stub.url)
        sampling = Sampling(0.7, 20, top_p=0.9, seed=5, logprobs=True)
        form = {"type": "json_object"}
        request = ChatRequest(where.address(), "m", (Message("user", "hé"),), sampling, form, sample=2)
        found = call(where, [request])[0]
        seen = stub.seen[0]
    assert found == Reply("positive ü", "stop", Usage(90, 64, 3))
    assert seen.path == "/v1/chat/completions"
    assert seen.body == request.body()
    assert seen.body["seed"] == 7 and seen.body["top_logprobs"] == 20
    assert "authorization" not in seen.headers


def completion(message: object, usage: object = None, **choice: object) -> Reply:
    import json

    body = {"choices": [{"message": message, **choice}], "usage": usage}
    return read_completion(json.dumps(body).encode(), "application/json")


def test_every_providers_way_of_saying_it() -> None:
    deepseek = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
    }
    assert completion({"content": "a"}, deepseek, finish_reason="stop") == Reply("a", "stop", Usage(100, 64, 9))
    openai = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}}
    assert completion({"content": "a"}, openai, finish_reason="eos").usage == Usage(10, 10, 2)
    odd = {"prompt_tokens": None, "completion_tokens": "7", "prompt_tokens_details": []}
    assert completion({"content": "a"}, odd).usage == Usage()
    assert completion({"content": None, "refusal": "I cannot"}, finish_reason="content_filter") == Reply(
        "", "content_filter", Usage(), "I cannot"
    )
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "neu"}, {"type": "text", "text": "tral"}]
    assert completion({"content": parts}, finish_reason="max_tokens") == Reply("neutral", "length")
    assert completion({"content": "half \ud83d"}).text == "half �"
    assert completion({"content": "a"}, finish_reason=["odd"]).finish_reason == "unknown"
    tokens = {"content": [{"token": "neg", "logprob": -0.1, "top_logprobs": [{"token": "neg", "logprob": -0.1}]}]}
    assert completion({"content": "a"}, logprobs=tokens).logprobs == (TokenLogprobs("neg", (("neg", -0.1),)),)
    assert completion({"content": "a"}, logprobs={"content": [{"token": 3}]}).logprobs is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in</html>",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [null]}',
        b'{"choices": {"0": 1}}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"choices": [{"message": {"content": "cut sh',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_without_a_reply_is_a_fault_that_may_be_billed(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read_completion(body, "text/html")
    kind = "web_page" if b"html" in body else "bad_body"
    assert (caught.value.kind, caught.value.may_be_billed, caught.value.again) == (kind, True, True)
    assert len(caught.value.message) < 500


def test_an_error_inside_a_200_is_that_error() -> None:
    with pytest.raises(Fault) as caught:
        read_completion(b'{"error": {"code": 429, "message": "upstream is busy"}}', "application/json")
    assert (caught.value.kind, str(caught.value)) == ("rate_limited", "429: upstream is busy")


@pytest.mark.parametrize(
    ("script", "kind", "again"),
    [
        (Canned(429, {"error": {"message": "slow down"}}), "rate_limited", True),
        (Canned(500, b"<html>oops</html>"), "server", True),
        (Canned(529, {"error": "overloaded"}), "server", True),
        (Canned(408, {}), "timeout", True),
        (Canned(504, {}), "timeout", True),
        (Canned(202, {}), "bad_body", True),
        (Canned(429, {"error": "You exceeded your current quota, please retry in 11 s"}), "rate_limited", True),
        (Canned(400, {"detail": "bad"}), "rejected", False),
        (Canned(413, {}), "rejected", False),
        (Canned(422, {}), "rejected", False),
        (Canned(401, {}), "unauthorised", False),
        (Canned(403, {}), "unauthorised", False),
        (Canned(404, {}), "not_found", False),
        (Canned(402, {}), "quota", False),
        (Canned(429, {"error": {"message": "x", "code": "insufficient_quota"}}), "quota", False),
        (Canned(307, b"", {"location": "http://127.0.0.1:1/v1"}), "redirected", False),
        ("empty", "bad_body", True),
        ("html", "web_page", True),
        ("cut", "broken", True),
        ("reset", "broken", True),
    ],
)
def test_each_way_to_fail_is_told_apart(script: Canned | str, kind: str, again: bool) -> None:
    fault = fault_of(script)
    assert (fault.kind, fault.again) == (kind, again)
    assert fault.message and "\n" not in fault.message


def test_no_answer_is_a_timeout_and_no_server_a_connection_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", CANARY)
    fault = fault_of("silent", timeout=0.2)
    assert (fault.kind, fault.may_be_billed, str(fault)) == ("timeout", True, "no answer within 0.2 s")
    with TeacherStub() as stub:
        url = stub.url
    for where in (teacher(url), teacher(url, provider="fireworks")):
        found = one(where)
        assert isinstance(found, Fault)
        assert (found.kind, found.may_be_billed) == ("connection", False)


def test_a_huge_or_swelling_body_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_BODY_BYTES", 100_000)
    assert "larger than 100,000 bytes" in fault_of(Canned(200, b"x" * 200_000)).message
    bomb = Canned(200, gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"})
    assert "larger than 100,000 bytes" in fault_of(bomb).message


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "2"}) == 2.0
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    later = retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert later is not None and later > 1e6
    for nonsense in ("soon", "nan", "1e999", ""):
        assert retry_after({"retry-after": nonsense}) is None
    assert fault_of("429").retry_after == 0.01


def test_rate_limit_headers_are_passed_on() -> None:
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "1m30s",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "89000",
        "x-ratelimit-reset-tokens": "250ms",
    }
    assert read_allowance(headers) == Allowance(600, 599, 90.0, 90000, 89000, 0.25)
    assert read_allowance({"content-type": "x"}) is None
    assert read_allowance({"x-ratelimit-limit-requests": "many"}) == Allowance()

    async def run(url: str) -> Allowance | None:
        async with endpoint.Endpoint(url, None, 5.0, 4) as model:
            await model.complete(question(teacher(url), "x"))
            return model.allowance

    with TeacherStub(headers=headers) as stub:
        assert asyncio.run(run(stub.url)) == Allowance(600, 599, 90.0, 90000, 89000, 0.25)


def test_headers_slow_a_run_down(tmp_path: Path) -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "300ms",
    }
    with TeacherStub(headers=headers) as stub:
        ask(teacher(stub.url, concurrency=2), tmp_path / "j.jsonl", range(3))
        assert stub.most_in_flight <= 2


def test_a_key_is_sent_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TeacherStub() as stub:
        where = teacher(stub.url, key_env="MY_KEY")
        with pytest.raises(TeacherError, match=r"MY_KEY is not set, and teacher.key_env names it: export MY_KEY="):
            one(where, tmp_path)
        with pytest.raises(TeacherError, match="OPENAI_API_KEY is not set, and openai needs an API key"):
            one(teacher(stub.url, provider="openai"), tmp_path)
        (tmp_path / ".env").write_text("MY_KEY=from-the-file\n", encoding="utf-8")
        assert isinstance(one(where, tmp_path), Reply)
        monkeypatch.setenv("MY_KEY", "from-the-environment")
        one(where, tmp_path)
        sent = [seen.headers["authorization"] for seen in stub.seen]
    assert sent == ["Bearer from-the-file", "Bearer from-the-environment"]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/v1", "http://metadata.google.internal/v1", "http://[fe80::1]/v1"]
)
def test_addresses_that_hand_out_credentials_are_refused(url: str) -> None:
    with pytest.raises(TeacherError, match="cannot be a teacher"):
        one(teacher(url))


def test_a_name_that_resolves_to_such_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        return [{"hostname": host, "host": "169.254.169.254", "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)
    found = one(teacher("http://innocent.local:8000/v1"))
    assert isinstance(found, Fault) and found.kind == "connection"
    assert "metadata address" in found.message


def test_redirects_do_not_carry_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    monkeypatch.setenv("FIREWORKS_API_KEY", CANARY)
    for provider in ("endpoint", "fireworks"):
        with TeacherStub() as thief, TeacherStub() as stub:
            stub.script = [Canned(307, b"", {"location": f"{thief.url}/chat/completions"})]
            fields = {"key_env": "MY_KEY"} if provider == "endpoint" else {"provider": "fireworks"}
            found = one(teacher(stub.url, **fields), tmp_path)
            assert thief.seen == []
        assert isinstance(found, Fault) and found.kind == "redirected"


CANARY_FAULTS: list[Canned | str] = [
    *[
        Canned(status, {"error": {"message": f"bad key {CANARY}"}})
        for status in (400, 401, 402, 403, 404, 413, 429, 500)
    ],
    Canned(302, b"", {"location": f"http://x/{CANARY}"}),
    Canned(200, f"<html>{CANARY}</html>".encode(), {"content-type": "text/html"}),
    Canned(200, {"error": {"message": CANARY, "code": 500}}),
    "cut",
    "reset",
    "silent",
]


def test_a_key_is_found_nowhere_after_a_dozen_failures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    monkeypatch.setattr(retries, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(pump, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(breaker, "NEVER_WELL", 0.05)
    monkeypatch.setattr(breaker, "BUSY", 0.05)
    monkeypatch.setattr(breaker, "PROBE", 0.01)
    caplog.set_level(logging.DEBUG)
    said = []
    for number, fault in enumerate(CANARY_FAULTS):
        with TeacherStub(script=[fault] * 60) as stub:
            where = teacher(stub.url, key_env="MY_KEY", concurrency=4, retries=1, timeout=0.1)
            try:
                ask(where, tmp_path / f"{number}.jsonl", range(30))
            except TutelageError as error:
                said.append(str(error))
            assert stub.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    assert len(said) >= 6
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    out, err = capsys.readouterr()
    for place in ("".join(said), files.decode("utf-8", "replace"), out, err, caplog.text):
        assert CANARY not in place
    assert "[key]" in "".join(said) and redact(CANARY) == "[key]"


def test_a_traceback_of_our_own_bug_holds_no_key(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom asking import ask, teacher\n"
        "def broken(row, lookup): raise RuntimeError('our bug')\n"
        "ask(teacher('http://127.0.0.1:9/v1', key_env='MY_KEY'), Path(sys.argv[1]), [1], missing=broken)"
    )
    environment = {**os.environ, "MY_KEY": CANARY, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j.jsonl")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "our bug" in done.stderr and CANARY not in done.stderr + done.stdout


@pytest.mark.parametrize("finish", ["ok", "length"])
def test_fireworks_makes_the_same_reply_as_the_endpoint(
    finish: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", CANARY)
    with TeacherStub(script=[finish] * 2, tokens=lambda body: Usage(90, 64, 3)) as stub:
        plain = teacher(stub.url)
        sampling = Sampling(0.7, 20, top_p=0.9, seed=5)
        messages = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "ü"))
        request = ChatRequest(plain.address(), "m", messages, sampling, {"type": "json_object"})
        first = call(plain, [request])[0]
        second = call(teacher(stub.url, provider="fireworks"), [request], tmp_path)[0]
        bodies = [seen.body for seen in stub.seen]
        assert stub.seen[1].headers["authorization"] == f"Bearer {CANARY}"
    assert isinstance(first, Reply) and second == first
    assert {**bodies[1], **bodies[0]} == bodies[1], "everything that was asked for is asked for"


@pytest.mark.parametrize(
    "script",
    [
        Canned(429, {"error": {"message": "slow down"}}, {"retry-after": "2"}),
        Canned(500, {"error": {"message": "oops"}}),
        Canned(503, b"busy"),
        Canned(400, {"error": {"message": "prompt is too long"}}),
        Canned(422, {"error": {"message": "bad"}}),
        Canned(401, {"error": {"message": "who"}}),
        Canned(403, {"error": {"message": "no"}}),
        Canned(404, {"error": {"message": "what"}}),
        Canned(402, {"error": {"message": "pay"}}),
        "empty",
        "html",
        "cut",
        "reset",
    ],
)
def test_fireworks_makes_the_same_fault_as_the_endpoint(
    script: Canned | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", CANARY)
    with TeacherStub(script=[script] * 2) as stub:
        first, second = one(teacher(stub.url)), one(teacher(stub.url, provider="fireworks"), tmp_path)
        assert len(stub.seen) == 2, "langchain does not send again by itself"
    assert isinstance(first, Fault) and isinstance(second, Fault)
    if script == "html":  # langchain-fireworks hides the body: it cannot be told from any other that is no JSON
        first.kind = "bad_body"
    assert (second.kind, second.status, second.retry_after) == (first.kind, first.status, first.retry_after)
    if isinstance(script, Canned):
        assert second.message == first.message
    with Journal.open(tmp_path / "j.jsonl") as journal:
        assert journal.replies == 0

"""Who is let in: by Host, by Origin, by key."""

from __future__ import annotations

import pytest

from rag.gate import is_loopback, make_gate

KEY = "k" * 20
LOCAL = make_gate("127.0.0.1", (), None)
LOCKED = make_gate("127.0.0.1", (), KEY)


def heads(host: str | None = "127.0.0.1:8000", **more: str) -> list[tuple[bytes, bytes]]:
    named = [] if host is None else [(b"host", host.encode())]
    return named + [(name.encode(), value.encode()) for name, value in more.items()]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "localhost.:8000"])
def test_its_own_names_are_taken(host: str) -> None:
    assert LOCAL.refusal(heads(host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "10.0.0.1",
        "",
        "a b",
        "localhost:x",
        "[::2]",
        None,
    ],
)
def test_other_names_are_not_which_keeps_rebound_pages_out(host: str | None) -> None:
    refusal = LOCAL.refusal(heads(host))
    assert refusal is not None and refusal.status == 421


def test_two_hosts_are_none() -> None:
    assert LOCAL.refusal([*heads(), *heads()]) is not None


def test_a_server_on_all_addresses_is_called_by_any_address_and_the_recipes_names() -> None:
    gate = make_gate("0.0.0.0", ("shop.example",), KEY)
    key = {"authorization": f"Bearer {KEY}"}
    for host in ("192.168.1.5:8000", "[fe80::1]:8000", "shop.example", "SHOP.example:443"):
        assert gate.refusal(heads(host, **key)) is None
    assert gate.refusal(heads("evil.example", **key)) is not None


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000"])
def test_its_own_page_may_call(origin: str) -> None:
    assert LOCAL.refusal(heads(origin=origin)) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:3000",
        "http://127.0.0.1",
        "ftp://127.0.0.1:8000",
        "",
        "http://127.0.0.1:8000/x",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    refusal = LOCAL.refusal(heads(origin=origin))
    assert refusal is not None and refusal.status == 403


def test_a_page_behind_a_proxy_may_call_by_the_recipes_name() -> None:
    gate = make_gate("127.0.0.1", ("shop.example",), None)
    assert gate.refusal(heads("shop.example", origin="https://shop.example")) is None
    assert gate.refusal(heads("127.0.0.1:8000", origin="https://shop.example")) is None
    assert gate.refusal(heads("shop.example", origin="https://shop.example:444x")) is not None


def test_the_key_opens() -> None:
    assert LOCKED.refusal(heads(authorization=f"Bearer {KEY}")) is None
    assert LOCKED.refusal(heads(authorization=f"bearer  {KEY}")) is None


@pytest.mark.parametrize(
    "given", [f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer ", f"Basic {KEY}", KEY, "Bearer \xff"]
)
def test_another_does_not(given: str) -> None:
    refusal = LOCKED.refusal([*heads(), (b"authorization", given.encode("latin-1"))])
    assert refusal is not None and (refusal.status, refusal.code) == (401, "invalid_api_key")
    assert KEY not in str(refusal) and "the key is wrong" in str(refusal)


def test_two_keys_or_none_do_not_open() -> None:
    none = LOCKED.refusal(heads())
    assert none is not None and "a key is needed" in str(none)
    twice = (b"authorization", f"Bearer {KEY}".encode())
    assert LOCKED.refusal([*heads(), twice, twice]) is not None


def test_what_needs_no_key_still_needs_the_right_name() -> None:
    assert LOCKED.refusal(heads(), keyless=True) is None
    assert LOCKED.refusal(heads("evil.example"), keyless=True) is not None


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr("rag.gate.hmac.compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    for given in ("Bearer x", f"Bearer {KEY}", "Bearer " + "y" * 5000):
        LOCKED.refusal(heads(authorization=given))
    assert compared == [(32, 32)] * 3


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "shop", "localhost.example"])
def test_what_others_reach(host: str) -> None:
    assert not is_loopback(host)

"""Who may come in: which Host, which web page, which key. Pure: no network here.

A server on this machine is reached by more than this machine's user. A web page that rebinds its own name to 127.0.0.1
(DNS rebinding) is told by its Host header, a page that posts across sites by its Origin. Other machines need the key.
The chat page's own files alone are handed out without it: they hold no data and no name, and it is the page that asks
for the key.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rag.openai_errors import ApiError

Headers = Sequence[tuple[bytes, bytes]]

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Gate:
    """Which requests are let through.

    names: host names by which the server may be called. addresses: any IP address too (it listens on all of them, and
    no name can be rebound to a request that does not use it). pages: names of web sites that may call it from a
    browser, beside itself. key: sha256 of the key; None where none is asked for.
    """

    names: frozenset[str]
    addresses: bool = False
    pages: frozenset[str] = frozenset()
    key: bytes | None = None

    def refusal(self, headers: Headers, keyless: bool = False) -> ApiError | None:
        """Why a request with these headers is not answered, or None. keyless: it is for what needs no key."""
        hosts = _values(headers, b"host")
        host = _authority(hosts[0]) if len(hosts) == 1 else None
        if host is None or not self._is_called(host[0]):
            message = "this server is not called by that name: its recipe's assistant.hosts says by which it may be"
            return ApiError(421, message, code="unknown_host")
        origins = _values(headers, b"origin")
        if origins and not (len(origins) == 1 and self._may_call(origins[0], host)):
            return ApiError(403, "web pages of other sites may not call this server", code="foreign_origin")
        if self.key is not None and not keyless and not self._fits(_values(headers, b"authorization")):
            wrong = "the key is wrong" if _values(headers, b"authorization") else "a key is needed"
            message = f"{wrong}: send it as `Authorization: Bearer KEY`"
            return ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
        return None

    def _is_called(self, name: str) -> bool:
        return name in self.names or (self.addresses and is_address(name))

    def _may_call(self, origin: str, host: tuple[str, str | None]) -> bool:
        scheme, _, rest = origin.partition("://")
        page = _authority(rest) if scheme in _PORTS else None
        if page is None:
            return False  # "null": a sandboxed frame or a file
        default = str(_PORTS[scheme])
        return page[0] in self.pages or (page[0] == host[0] and (page[1] or default) == (host[1] or default))

    def _fits(self, given: list[str]) -> bool:
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        same = hmac.compare_digest(key_digest(key.strip()), self.key or b"")  # always of one length: says nothing
        return same and scheme.lower() == "bearer"


def make_gate(host: str, hosts: Iterable[str], key: str | None) -> Gate:
    """The gate of a server that listens on `host`. hosts: the recipe's other names for it."""
    listening = host.strip("[]").rstrip(".").lower()
    named = frozenset(name.rstrip(".").lower() for name in hosts)
    names = {*named, "localhost", listening}
    if is_loopback(listening):
        names |= {"127.0.0.1", "::1"}
    everywhere = is_address(listening) and ipaddress.ip_address(listening).is_unspecified
    return Gate(frozenset(names), everywhere, named, None if key is None else key_digest(key))


def key_digest(key: str) -> bytes:
    """What keys are compared by."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    name = host.strip("[]").lower()
    return name == "localhost" or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def is_address(name: str) -> bool:
    """Whether `name` is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _authority(text: str) -> tuple[str, str | None] | None:
    """(name, port) of host[:port]; None for anything else."""
    found = _AUTHORITY.fullmatch(text)
    return (found[1].strip("[]").rstrip(".").lower(), found[2]) if found else None


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]

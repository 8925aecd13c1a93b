"""Which addresses a teacher may have: API keys go there, and rows of data."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

_METADATA = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_CLOUD = [
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local: AWS, Azure, GCP, DigitalOcean metadata
        "fe80::/10",
        "fd00:ec2::/32",  # AWS metadata over IPv6
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure's host
        "0.0.0.0/32",
        "::/128",
        "224.0.0.0/4",
        "ff00::/8",
    )
]
_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Addresses inside a carrier's or a Tailscale network."""


def address_problem(url: str) -> str | None:
    """Why `url` may not be a teacher's base_url, or None. Names are not looked up; the URL is not repeated."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no web address; write it as https://host/v1"
    if parts.scheme not in ("http", "https") or not host or url != url.strip() or "\\" in url:
        return "must be an http or https address, such as https://host/v1 or http://localhost:11434/v1"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or a password: put the key in an environment variable and name it in key_env"
    if parts.query or parts.fragment:
        return "must end with the path: no ? or # (a key in it would be written to logs)"
    host = host.rstrip(".").lower()
    address = _ip(host)
    if host in _METADATA or (address is not None and any(address in network for network in _CLOUD)):
        return "is a link-local or cloud metadata address, which hands out credentials: it cannot be a teacher"
    if parts.scheme == "http" and not _is_near(host, address):
        return "must be https: plain http, which others can read, is for this machine and private networks only"
    return None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that `host` spells, also as one number, in hexadecimal, or as IPv4 inside IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_near(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """This machine, a private network, or a name that only a local network resolves."""
    if address is not None:
        return address.is_private or address.is_loopback or address in _SHARED
    return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa"))

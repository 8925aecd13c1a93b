"""Where a teacher may be: no metadata service, no plain http to strangers, no key in the address."""

from __future__ import annotations

import pytest

from recipes.addresses import address_problem

GOOD = [
    "https://api.openai.com/v1",
    "https://api.openai.com:8443/v1/",
    "http://localhost:11434/v1",
    "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1",
    "http://192.168.1.20:8000",
    "http://10.0.0.4/v1",
    "http://172.20.0.3/v1",
    "http://ollama:11434/v1",
    "http://gpu.local/v1",
    "http://host.docker.internal:11434/v1",
    "http://100.101.102.103/v1",
]
METADATA = [
    "http://169.254.169.254/latest",
    "https://169.254.169.254/",
    "http://169.254.1.1/v1",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1%25eth0]/v1",
    "http://metadata.google.internal/v1",
    "http://METADATA.google.internal./v1",
    "http://metadata/v1",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://0.0.0.0:8000/v1",
]
OTHERS = [
    ("http://api.openai.com/v1", "must be https"),
    ("http://8.8.8.8/v1", "must be https"),
    ("http://example.com./v1", "must be https"),
    ("https://user:pass@host/v1", "user or a password"),
    ("https://token@host/v1", "user or a password"),
    ("https://host/v1?key=1", "must end with the path"),
    ("https://host/v1#x", "must end with the path"),
    ("ftp://host/v1", "http or https"),
    ("file:///etc/passwd", "http or https"),
    ("localhost:11434/v1", "http or https"),
    ("https:///v1", "http or https"),
    ("https://host\\@evil/v1", "http or https"),
    (" https://host/v1", "http or https"),
    ("https://host:99999/v1", "no web address"),
    ("https://[::1/v1", "no web address"),
]


@pytest.mark.parametrize("url", GOOD)
def test_good_addresses(url):
    assert address_problem(url) is None


@pytest.mark.parametrize("url", METADATA)
def test_metadata_addresses_in_any_spelling_are_refused(url):
    assert "metadata" in (address_problem(url) or "")


@pytest.mark.parametrize(("url", "problem"), OTHERS)
def test_other_addresses_are_refused_with_the_reason(url, problem):
    found = address_problem(url)
    assert found is not None and problem in found
    assert "pass" not in found.replace("password", "") and "evil" not in found

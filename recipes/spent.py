"""What the reply journal of a run folder says was asked and paid, read in one cheap pass.

The journal is synth's (`synth/entries.py` writes its lines and checks them); only the head of each line is looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from recipes.chat import Usage

_REPLY = re.compile(rb'"kind":"reply","usage":\[(\d+),(\d+),(\d+)\]')
_UNCERTAIN = re.compile(rb'"uncertain":\[(\d+),(\d+),(\d+)\]')
_LEASE = re.compile(rb'\{"crc32":"[0-9a-f]{8}","lease":\[(\d+),(\d+),(\d+)\]')
_DETAIL = b',"reply":'
"""Ends the head of a line."""


@dataclass(frozen=True, slots=True)
class Spent:
    """replies, usage: of one model.

    billed: tokens paid or possibly paid for, of all models, broken-off tries and calls that a kill left on their way.
    """

    replies: int = 0
    usage: Usage = field(default_factory=Usage)
    billed: Usage = field(default_factory=Usage)


def read_spent(path: Path, model: str) -> Spent:
    """The replies of `model` in the journal at `path`, and what all of it cost; nothing where there is no file."""
    if not path.exists():
        return Spent()
    named = b'"model":' + orjson.dumps(model)
    replies = 0
    usage, billed = [0, 0, 0], [0, 0, 0]
    lease: re.Match[bytes] | None = None
    with path.open("rb") as lines:
        for line in lines:
            head = line.partition(_DETAIL)[0]
            lease = _LEASE.match(line) or lease
            reply = _REPLY.search(head)
            for found in (reply, _UNCERTAIN.search(head)):
                if found is not None:
                    _add(billed, found)
            if reply is not None and named in head:
                replies += 1
                _add(usage, reply)
    if lease is not None:
        _add(billed, lease)
    return Spent(replies, Usage(*usage), Usage(*billed))


def _add(totals: list[int], found: re.Match[bytes]) -> None:
    for place, number in enumerate(found.groups()):
        totals[place] += int(number)

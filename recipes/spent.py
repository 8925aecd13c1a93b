"""What the reply journal of a run folder says was asked and paid, read in one cheap pass.

The journal is synth's (`synth/entries.py` writes its lines and checks them); only the head of each line is looked at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from recipes.chat import Usage

_REPLY = re.compile(rb'"kind":"reply","usage":\[(\d+),(\d+),(\d+)\]')
_UNCERTAIN = re.compile(rb'"uncertain":\[(\d+),(\d+),(\d+)\]')
_LEASE = re.compile(rb'\{"crc32":"[0-9a-f]{8}","lease":\[(\d+),(\d+),(\d+)\]')
_WITHDRAWN = b'"kind":"withdrawn"'
_TEXT = rb'("(?:[^"\\]|\\.)*")'
_ABOUT = re.compile(rb'"example":' + _TEXT + rb',"sample":(\d+),"model":' + _TEXT + rb'(?:,"asked":"([0-9a-f]+)")?')
_DETAIL = b',"reply":'
"""Ends the head of a line."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model was asked and paid, and what the others of the same run folder were.

    answered: examples with a reply to the question, a reply to each vote apart; one that was asked again counts once,
    and one that is to be asked anew (--ask-again) not at all. replies: all of them, and usage: their tokens. otherwise:
    what `answered` is, of other questions to the same model. billed: tokens paid or possibly paid for, whatever was
    asked, with broken-off tries and calls that a kill left on their way. others: the same of each other model, whose
    price nobody has written down.
    """

    answered: int = 0
    replies: int = 0
    usage: Usage = field(default_factory=Usage)
    billed: Usage = field(default_factory=Usage)
    others: dict[str, Usage] = field(default_factory=dict)
    otherwise: int = 0

    @property
    def counted(self) -> Usage:
        """Tokens that count against a budget: those of all models."""
        every = [self.billed, *self.others.values()]
        return Usage(*(sum(getattr(one, kind) for one in every) for kind in ("prompt", "cached", "completion")))


def read_spent(path: Path, model: str, asked: str | None = None, unmarked: bool = True) -> Spent:
    """The replies of `model` in the journal at `path`, and what all of it cost; nothing where there is no file.

    asked: the question that is meant (`asked_as` in recipes/plan.py); None: any. unmarked: whether a line that
    does not say what it was asked is taken for an answer to it.
    """
    if not path.exists():
        return Spent()
    ours = last = orjson.dumps(model)
    meant = None if asked is None else {asked.encode(), *([None] if unmarked else [])}
    answered: dict[bool, set[int]] = {True: set(), False: set()}
    replies, usage = 0, [0, 0, 0]
    billed: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0, 0])
    lease: tuple[bytes, re.Match[bytes]] | None = None
    with path.open("rb") as lines:
        for line in lines:
            head = line.partition(_DETAIL)[0]
            reply, about = _REPLY.search(head), _ABOUT.search(head)
            last = about[3] if about is not None else last
            held = _LEASE.match(line)
            lease = lease if held is None else (last, held)
            for found in (reply, _UNCERTAIN.search(head)):
                _add(billed[last], found)
            if about is None or last != ours:
                continue
            row = hash((about[1], about[2]))
            if reply is not None:
                is_meant = meant is None or about[4] in meant
                answered[is_meant].add(row)
                replies += is_meant
                _add(usage, reply if is_meant else None)
            elif _WITHDRAWN in head:
                answered[True].discard(row)
    if lease is not None:  # what was on its way belongs to whoever was asked then
        _add(billed[lease[0]], lease[1])
    others = {
        str(orjson.loads(name)): Usage(*totals) for name, totals in billed.items() if name != ours and any(totals)
    }
    return Spent(len(answered[True]), replies, Usage(*usage), Usage(*billed[ours]), others, len(answered[False]))


def _add(totals: list[int], found: re.Match[bytes] | None) -> None:
    if found is not None:
        for place, number in enumerate(found.groups()):
            totals[place] += int(number)

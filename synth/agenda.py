"""Which call comes next: due retries, calls that are ready, questions asked again, then those of the next item.

Items are pulled one at a time and only when there is room, so that memory does not grow with their number.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from recipes.chat import ChatRequest, Reply, Usage
from synth.entries import NO_TOKENS, Failure
from synth.journal import Journal

Item = TypeVar("Item")
Lookup = Callable[[ChatRequest], "Reply | Failure | None"]

_PULLED_AT_ONCE = 100
_MOST_ROUNDS = 1_000


@dataclass(slots=True, eq=False)
class Work(Generic[Item]):
    """An item whose calls are not all back. waiting: how many are out; rounds: how often it had more to ask."""

    item: Item
    waiting: int = 0
    rounds: int = 0


@dataclass(slots=True, eq=False)
class Call(Generic[Item]):
    """A request on its way to a reply, for all items that want this reply.

    refused, broken: tries that ended in a 429, and in another fault. uncertain: tokens that its tries may have been
    billed for without a reply. Of the try that is out: most: tokens reserved, tokens:
    a rough guess, epoch: the limiter's.
    """

    key: str
    request: ChatRequest
    works: list[Work[Item]]
    refused: int = 0
    broken: int = 0
    uncertain: Usage = NO_TOKENS
    most: Usage = NO_TOKENS
    tokens: float = 0.0
    epoch: int = 0


class Agenda(Generic[Item]):
    """The calls to make for `items`.

    room: calls that may wait for a retry before no more items are pulled. most_again: questions that may be asked again
    at a time; while one of them waits for that, no more items are pulled. exhausted: whether all items are begun;
    paused: whether `next` found nothing to do only because others should have a turn. settled: items done.
    """

    def __init__(
        self,
        items: Iterable[Item],
        missing: Callable[[Item, Lookup], list[ChatRequest]],
        journal: Journal,
        done: Callable[[Item], None],
        room: int,
        most_again: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._items = iter(items)
        self._missing = missing
        self._journal = journal
        self._done = done
        self._room = room
        self._most_again = most_again
        self._calls: dict[str, Call[Item]] = {}
        self._ready: deque[Call[Item]] = deque()
        self._again: deque[Call[Item]] = deque()
        self._repeated: set[str] = set()
        self._later: list[tuple[float, int, Call[Item]]] = []
        self._order = count()
        self._found = False  # whether anything of the item at hand is on record: then what is missing is a second try
        self._settled: tuple[Call[Item], Reply | Failure] | None = None
        self._asked: dict[int, tuple[ChatRequest, str]] = {}
        self.exhausted = self.paused = False
        self.settled = 0

    @property
    def over(self) -> bool:
        """Whether every item is done."""
        return self.exhausted and not self._calls

    @property
    def open(self) -> int:
        """How many requests have no answer yet, whether they are sent or not."""
        return len(self._calls)

    def next(self, now: float, new: bool) -> Call[Item] | None:
        """The call to make now, or None; `new`: whether more items may be begun."""
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        self.paused = False
        if not self._ready and not self._again and new and len(self._later) < self._room:
            self._pull()
        if self._ready:
            return self._ready.popleft()
        if not self._again or len(self._repeated) >= self._most_again():
            return None
        call = self._again.popleft()
        self._repeated.add(call.key)
        return call

    def wait(self, now: float) -> float | None:
        """Seconds until a retry is due; None where none waits."""
        return max(0.0, self._later[0][0] - now) if self._later else None

    def put_back(self, call: Call[Item]) -> None:
        """The call cannot be made now: it is the next one."""
        self._ready.appendleft(call)

    def retry(self, call: Call[Item], due: float) -> None:
        """The call is to be made again at `due`."""
        heapq.heappush(self._later, (due, next(self._order), call))

    def settle(self, call: Call[Item], found: Reply | Failure) -> None:
        """The journal has `found` for the call."""
        del self._calls[call.key]
        self._repeated.discard(call.key)
        self._settled = call, found
        for work in call.works:
            work.waiting -= 1
            if not work.waiting:
                self._advance(work)
        self._settled = None

    def unasked(self) -> int:
        """How many items are not done; pulls all that are left to see."""
        begun = {id(work) for call in self._calls.values() for work in call.works}
        left = 0
        for item in self._items:
            left += bool(self._missing(item, self._lookup))
            self._asked.clear()
        return len(begun) + left

    def _pull(self) -> None:
        """Begin items until one has something to ask, or until others should have a turn."""
        for _ in range(_PULLED_AT_ONCE):
            for item in self._items:
                self._advance(Work(item))
                break
            else:
                self.exhausted = True
                return
            if self._ready or self._again:
                return
        self.paused = True

    def _advance(self, work: Work[Item]) -> None:
        """Make the item's missing requests calls, or count it as done."""
        self._found = False
        requests = self._missing(work.item, self._lookup)
        for request in requests:
            known = self._asked.get(id(request))
            key = known[1] if known is not None and known[0] is request else request.key()
            call = self._calls.get(key)
            if call is None:
                call = self._calls[key] = Call(key, request, [])
                if not work.rounds and not self._found:
                    self._ready.append(call)
                elif work.rounds < 2:
                    self._again.append(call)
                else:
                    self._again.appendleft(call)  # what is begun is settled before more is asked again
            call.works.append(work)
        self._asked.clear()
        work.waiting = len(requests)
        work.rounds += 1
        if not requests:
            self.settled += 1
            self._done(work.item)
        elif work.rounds > _MOST_ROUNDS:
            raise AssertionError(f"{work.item!r} asks again and again")

    def _lookup(self, request: ChatRequest) -> Reply | Failure | None:
        if self._settled is not None and request == self._settled[0].request:
            return self._settled[1]  # asked for at once in nearly every case: no need to read it back
        key = request.key()
        self._asked[id(request)] = request, key  # the reference keeps the id from being used again
        found = self._journal.get(key)
        self._found = self._found or found is not None
        return found

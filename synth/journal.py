"""The reply journal: everything the teacher ever answered, on disk before anything else happens with it.

An append-only file (`journal_file.py`) of checked JSON lines (`entries.py`). The last line about a request counts.
What a crash or a bit flip has damaged is found (`journal_scan.py`), skipped and said; the requests concerned are asked
again. Where a reply lies in the file is kept in a temporary database on disk, so that memory does not grow with it.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from recipes.chat import Reply, Usage
from recipes.console import say
from synth.entries import NO_TOKENS, WITHDRAWN, Entry, Failure, Head, checked, decode, encode, encode_lease
from synth.journal_file import JournalFile, disk
from synth.journal_scan import Scan
from synth.places import Places

__all__ = ["Failure", "Journal"]


class Journal:
    """An open reply journal. Use as a context manager; for one thread, but for `sync`.

    replies, failures, damaged: lines of each kind that were found or added. usage: tokens paid or possibly paid for,
    by this run and all runs before it. lease: what `hold` said last. asked: what new lines say of their question.
    """

    def __init__(self, file: JournalFile, asked: str = "") -> None:
        self.path, self.asked = file.path, asked
        self.replies = self.failures = self.damaged = 0
        self.usage = self.lease = NO_TOKENS
        self._file = file
        self._places = Places()

    @classmethod
    def open(cls, path: Path, readonly: bool = False, asked: str = "") -> Journal:
        """Open a journal, or begin one. Raises RunError where it cannot be read, is in use, or is no journal."""
        journal = cls(JournalFile(path, readonly), asked)
        try:
            journal._read_in()
        except BaseException:
            journal.close()
            raise
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: str) -> Reply | Failure | None:
        """What came of the request. None where it must be asked, also after an earlier run's failure that passes."""
        place = self._places.get(key)
        if place is None:
            return None
        line = self._file.read(*place)
        body = checked(line if line.endswith(b"\n") else line + b"\n")
        try:
            entry = decode(body) if body is not None else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # whole, but not of our making
        return entry.found if entry is not None and entry.key == key else None

    def put(
        self,
        key: str,
        example: str,
        found: Reply | Failure,
        *,
        sample: int = 0,
        model: str = "",
        uncertain: Usage = NO_TOKENS,
    ) -> None:
        """Remember what came of a request. It is written when this returns, and safe from a power cut after `sync`.

        Raises RunError where the disk is full; nothing written before is lost.
        """
        line = encode(Entry(key, example, found, sample, model, int(time.time()), uncertain, self.asked))
        self._places.set(key, self._file.append(line), len(line))
        if isinstance(found, Reply):
            self.replies += 1
            self._count(found.usage)
        else:
            self.failures += 1
        self._count(uncertain)

    def withdraw(self, key: str, example: str, *, sample: int = 0, model: str = "") -> None:
        """Take back what came of the request, so that it is asked again. The reply stays in the file and in `usage`."""
        again = Failure(WITHDRAWN, "to be asked again")
        self._file.append(encode(Entry(key, example, again, sample, model, int(time.time()))))
        self._places.drop(key)

    def hold(self, lease: Usage, uncertain: Usage = NO_TOKENS) -> None:
        """Say up to how many tokens may be billed without a line of their own: after a kill they count as paid.

        uncertain: tokens of broken-off calls to count as paid from now on.
        """
        self._file.append(encode_lease(lease, uncertain))
        self._count(uncertain)
        self.lease = lease

    @property
    def unsynced(self) -> int:
        """Lines written that a power cut could still take."""
        return self._file.unsynced

    def sync(self) -> None:
        """Have the operating system put everything on the disk. May be called from another thread."""
        self._file.sync()

    def close(self) -> None:
        """Sync and let go of the file."""
        try:
            self._file.close()
        finally:
            self._places.close()

    def _read_in(self) -> None:
        """Index the lines that are there and mend what a crash has left at the end."""
        file, scan = self._file, Scan(self.path)
        with disk(self.path):
            for head, start, length in scan.heads():
                self._note(head, start, length)
        self.damaged = scan.damaged
        file.end = scan.end - scan.unended
        if not file.readonly:
            if scan.unended:
                file.append(b"\n")
            elif scan.torn is not None:
                file.cut()
        scan.say_what_was_wrong(mended=not file.readonly)
        if self.lease != NO_TOKENS and not file.readonly:
            lost = self.lease.prompt + self.lease.completion
            say(f"{self.path}: a run was killed; up to {lost:,} tokens that were on their way count as paid")
            self.hold(NO_TOKENS, self.lease)

    def _note(self, head: Head, start: int, length: int) -> None:
        """Take in one line."""
        self._count(head.usage)
        self._count(head.uncertain)
        if head.lease is not None:
            self.lease = head.lease
        elif head.key is not None and head.kind == WITHDRAWN:
            self._places.drop(head.key)
        elif head.key is not None:
            self.replies += head.kind == "reply"
            self.failures += head.kind != "reply"
            if head.kind in ("reply", "rejected"):  # other failures pass: the next run asks again
                self._places.set(head.key, start, length)

    def _count(self, usage: Usage) -> None:
        if usage is not NO_TOKENS:
            have = self.usage
            self.usage = Usage(
                have.prompt + usage.prompt, have.cached + usage.cached, have.completion + usage.completion
            )

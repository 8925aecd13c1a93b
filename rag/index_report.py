"""What indexing did, and how it is coming along."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recipes.counts import counted
from synth.progress import Progress


@dataclass
class IndexReport:
    """documents, chunks: in the index now. The rest is what this pass found and did.

    changed: documents written anew, of which `retexted` needed new vectors. embedded: chunks. rejected: reason -> rows.
    dropped_links: documents whose link nobody is shown.
    """

    documents: int = 0
    chunks: int = 0
    added: int = 0
    changed: int = 0
    retexted: int = 0
    removed: int = 0
    unchanged: int = 0
    embedded: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    dropped_links: int = 0
    seconds: float = 0.0

    @property
    def read(self) -> int:
        """Documents that this pass has settled."""
        return self.added + self.changed + self.unchanged

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)

    def sentence(self) -> str:
        """What was done, in a line."""
        what = [f"{getattr(self, name):,} {name}" for name in ("added", "changed", "removed", "unchanged")]
        rows = counted(sum(self.rejected.values()), "row")
        left = f"; {rows} left out ({_reasons(self.rejected)})" if self.rejected else ""
        left += f"; {counted(self.dropped_links, 'link')} not shown, being no web address" if self.dropped_links else ""
        return (
            f"{counted(self.documents, 'document')} in {counted(self.chunks, 'piece')}: {', '.join(what)}; "
            f"{counted(self.embedded, 'piece')} embedded in {self.seconds:.1f} s{left}"
        )


def read_report(facts: Mapping[str, Any]) -> IndexReport:
    """The report that a manifest holds."""
    known = IndexReport.__dataclass_fields__
    return IndexReport(**{name: value for name, value in facts.items() if name in known})


class IndexProgress(Progress):
    """The live line. total: documents of the catalogue, 0 where nobody counted them."""

    def __init__(self, report: IndexReport, total: int) -> None:
        super().__init__("index", total)
        self._report = report

    def line(self) -> str:
        """The state of now in one line."""
        report = self._report
        if not report.read:
            return "index: embedding the first documents" + (f" of {self.total:,}" if self.total else "")
        rate = self._rate(time.monotonic(), report.read)
        of = f" of {self.total:,}" if self.total else ""
        parts = [f"index: {report.read:,}{of} documents", f"{report.unchanged:,} unchanged"]
        parts += [f"{report.embedded:,} pieces embedded", f"{rate:,.1f} documents/s"]
        return " · ".join(parts + self._to_go(rate, report.read))


def _reasons(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in rejected.items())

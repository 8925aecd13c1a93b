"""predictions/*.jsonl of seq2seq students: one file for each dataset, student, target and seed, kept while nothing
changed, and taken up again where it was stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from eval.predict import machine
from eval.tuple_rows import OWN, ScoredSet
from eval.unfinished import Unfinished
from finetune.hardware import Machine, free_memory
from recipes.aspects import read_opinions
from recipes.console import say
from recipes.counts import counted
from recipes.errors import RunError
from recipes.rows import Row, read_rows, write_rows
from recipes.runs import Manifest, RunFolder, digest, file_digest
from recipes.seq2seq_student import Target
from recipes.tuple_counts import Pair, plain, read_pairs

ANSWERS_VERSION = 1
"""Raised when answering or reading answers changes what comes out; raise stages.REPORT_VERSION too."""
WARM_UP = 2
"""Texts answered before the clock starts: a first call's set-up is no speed."""
WINDOW = 256
"""Texts answered before the answers are written down: what a kill can cost."""


class Writing(Row):
    """One answer: a line of predictions/<...>.jsonl.

    text: all that was written. tuples: what of it could be read: (term or category, polarity), of an analysis (target,
    sentiment), of a rewrite nothing. invalid: pieces that are no tuple of this text. truncated: it did not end by
    itself. cut: the text was longer than the student reads.
    """

    id: str
    text: str
    tuples: tuple[Pair, ...] = ()
    invalid: int = 0
    truncated: bool = False
    cut: bool = False


class Wrote(Protocol):
    """One answer, as finetune gives it."""

    @property
    def text(self) -> str: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def cut(self) -> bool: ...


class Writer(Protocol):
    """An open seq2seq student."""

    machine: Machine

    def write(self, texts: Sequence[str], target: Target) -> Sequence[Wrote]: ...


@dataclass(frozen=True)
class Writings:
    """What one seed of a student wrote for one set; speed as measured when it did, on `machine`, in `precision`."""

    name: str
    seed: int
    target: Target
    lines: tuple[Writing, ...]
    rows_per_second: float | None
    machine: str | None
    precision: str = ""


def stem(dataset: str, name: str, target: Target, seed: int) -> str:
    """The name in predictions/ and manifests/; names hold no dot, so no two can meet."""
    return f"{name}.seed-{seed}.{target}" if dataset == OWN else f"{dataset}.{name}.seed-{seed}.{target}"


def writings_of(run: RunFolder, name: str, seed: int, scored: ScoredSet, target: Target) -> Writings:
    """Answers of one seed: read from disk where their inputs are unchanged, else written, timed and kept."""
    stage_stem = stem(scored.dataset, name, target, seed)
    path, stage = run.path / "predictions" / f"{stage_stem}.jsonl", f"predictions-{stage_stem}"
    inputs = {
        "scored rows": scored.digest(),
        f"students.{name} as trained": file_digest(run.student(name) / "student.json"),
        "tutelage's answering code": digest(ANSWERS_VERSION),
    }
    manifest = None if run.why_stale(stage, inputs) else run.manifest(stage)
    if manifest is None:
        run.begin(stage)
        manifest = _write_all(run, name, seed, scored, target, inputs)
    lines = tuple(read_rows(path, Writing))
    if tuple(line.id for line in lines) != scored.ids:
        raise RunError(f"{path} does not answer the test rows of {scored.dataset}, in order: delete it and run again")
    facts = manifest.facts
    return Writings(name, seed, target, lines, facts["rows_per_second"], facts["machine"], facts.get("precision", ""))


def _write_all(
    run: RunFolder, name: str, seed: int, scored: ScoredSet, target: Target, inputs: dict[str, str]
) -> Manifest:
    """Have all texts answered, a window at a time; what an earlier process wrote down is not asked for again."""
    stage_stem = stem(scored.dataset, name, target, seed)
    path = run.path / "predictions" / f"{stage_stem}.jsonl"
    kept = Unfinished(path.parent, stage_stem, inputs)
    lines, answered, seconds, precision = kept.read(Writing), 0, 0.0, ""
    before = f", {len(lines):,} of them before" if lines else ""
    say(f"{name}, seed {seed}: writes {target} for {counted(len(scored.ids), 'text')} of {scored.dataset}{before}")
    if len(lines) < len(scored.ids):
        writer = open_writer(run, name, seed)
        precision = writer.machine.precision
        writer.write(scored.texts[:WARM_UP], target)
        for start in range(len(lines), len(scored.ids), WINDOW):
            window = range(start, min(start + WINDOW, len(scored.ids)))
            started = time.perf_counter()
            wrote = writer.write([scored.texts[place] for place in window], target)
            seconds, answered = seconds + time.perf_counter() - started, answered + len(window)
            made = [_line(scored, place, one, target) for place, one in zip(window, wrote, strict=True)]
            kept.add(made)
            lines += made
        del writer
        free_memory()
    write_rows(path, lines)
    speed = round(answered / max(seconds, 1e-9), 3) if answered else None
    facts = {"rows_per_second": speed, "machine": machine(), "precision": precision}
    manifest = run.finish(f"predictions-{stage_stem}", inputs, [path], facts)
    kept.remove()
    return manifest


def open_writer(run: RunFolder, name: str, seed: int) -> Writer:
    """A trained student, ready to write."""
    from finetune.student import open_student

    return cast(Writer, open_student(run, name, seed))


def _line(scored: ScoredSet, place: int, wrote: Wrote, target: Target) -> Writing:
    tuples, invalid = read_answer(wrote.text, scored.texts[place], target)
    return Writing(
        id=scored.ids[place],
        text=wrote.text,
        tuples=tuples,
        invalid=invalid,
        truncated=wrote.truncated,
        cut=wrote.cut,
    )


def read_answer(answer: str, text: str, target: Target) -> tuple[tuple[Pair, ...], int]:
    """(what can be read of an answer to `text`, how many of its pieces can not)."""
    if target == "rewrite":
        return (), 0
    if target == "analysis":
        opinions, invalid = read_opinions(answer)
        return tuple((plain(one.target), one.sentiment) for one in opinions), invalid
    return read_pairs("atsa" if target == "atsa" else "acsa", answer, text)

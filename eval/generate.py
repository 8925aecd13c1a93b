"""predictions/<model>.jsonl of generative models: what each answered to each question, kept while nothing changed.

A model is opened only when its answers are wanted, asked, and let go of before the next: two 8B models do not fit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from eval.predict import machine
from eval.questions import Questions
from eval.unfinished import Unfinished
from finetune.hardware import free_memory
from recipes.console import say
from recipes.counts import counted
from recipes.errors import RunError
from recipes.rows import ResponseRow, Row, read_rows, write_rows
from recipes.runs import Manifest, RunFolder
from recipes.students import Answering

if TYPE_CHECKING:
    from finetune.answering import Generated, Question

Role = Literal["teacher", "student", "base"]
WARM_UP = 2
"""Questions answered in a few tokens before the clock starts: a first call's set-up is no speed."""
WARM_UP_TOKENS = 4
WINDOW = 64
"""Questions answered before the answers are written down: what a kill can cost."""


class Speaker(Protocol):
    """An open generative model, as finetune.answering.GenerativeStudent is one."""

    def answer(
        self, questions: Sequence[Question], answering: Answering | None = None, seed: int = 0
    ) -> list[Generated]: ...

    def losses(self, rows: Sequence[ResponseRow]) -> list[tuple[float, int]]: ...


@dataclass(frozen=True)
class Responder:
    """One set of answers to get: one seed of a student, or the base it started from.

    student: whose format and answering it uses. inputs: sha256 of all but the questions that its answers depend on.
    """

    name: str
    role: Role
    student: str
    seed: int | None
    answering: Answering
    inputs: dict[str, str]
    open: Callable[[], Speaker]

    def stem(self) -> str:
        """Its name in predictions/ and manifests/; names hold no dot, so no two can meet."""
        return f"{self.student}.base" if self.role == "base" else f"{self.name}.seed-{self.seed}"


class Response(Row):
    """One answer: a line of predictions/<model>.jsonl.

    text: all that was generated. valid: it has the form that the format asks for. stopped: it ended by itself. tokens:
    how many were generated. nll, nll_tokens: loss of the *reference* response under this model, in nats, and over how
    many tokens. What nobody measured (a teacher's tokens) is null.
    """

    id: str
    text: str
    reasoning: str | None
    response: str
    valid: bool | None = None
    stopped: bool | None = None
    tokens: int | None = None
    nll: float | None = None
    nll_tokens: int | None = None


@dataclass(frozen=True)
class Responses:
    """A model's answers to the questions, in their order; speeds as measured when they were made, on `machine`."""

    name: str
    role: Role
    seed: int | None
    lines: tuple[Response, ...]
    tokens_per_second: float | None = None
    rows_per_second: float | None = None
    machine: str | None = None


def reference_responses(run: RunFolder, questions: Questions, name: str) -> Responses:
    """The responses of the teacher or the source, as the rows hold them; written beside the others for people."""
    lines = tuple(
        Response(id=row.id, text=_whole(row), reasoning=row.reasoning, response=row.response) for row in questions.rows
    )
    write_rows(run.path / "predictions" / f"{name}.jsonl", lines)
    return Responses(name, "teacher", None, lines)


def responses_of(responder: Responder, run: RunFolder, questions: Questions) -> Responses:
    """A model's answers: read from disk where their inputs are unchanged, else generated, timed and written."""
    path = run.path / "predictions" / f"{responder.stem()}.jsonl"
    stage = f"predictions-{responder.stem()}"
    inputs = responder.inputs | {"questions": questions.digest()}
    manifest = None if run.why_stale(stage, inputs) else run.manifest(stage)
    if manifest is None:
        run.begin(stage)
        manifest = _generate(responder, run, questions, inputs, path)
    lines = tuple(read_rows(path, Response))
    if tuple(line.id for line in lines) != questions.ids:
        raise RunError(f"{path} does not answer the questions of this run, in their order: delete it and run again")
    facts = manifest.facts
    speeds = facts["tokens_per_second"], facts["rows_per_second"]
    return Responses(responder.name, responder.role, responder.seed, lines, *speeds, facts["machine"])


def _generate(
    responder: Responder, run: RunFolder, questions: Questions, inputs: dict[str, str], path: Path
) -> Manifest:
    """Ask for all answers, a window at a time; those that an earlier process wrote down are not asked for again."""
    kept = Unfinished(path.parent, responder.stem(), inputs)
    lines, rows = kept.read(Response), questions.rows
    before = f", {len(lines):,} of them before" if lines else ""
    say(f"{responder.name}: answers {counted(len(rows), 'question')}{before}")
    tokens, answered, seconds = 0, 0, 0.0
    if len(lines) < len(rows):
        speaker = responder.open()
        _warm_up(speaker, responder, rows)
        for start in range(len(lines), len(rows), WINDOW):
            window = rows[start : start + WINDOW]
            made, spent = _answers(speaker, responder, window)
            kept.add(made)
            lines += made
            tokens += sum(one.tokens or 0 for one in made)
            answered, seconds = answered + len(made), seconds + spent
            if len(lines) < len(rows):
                say(f"{responder.name}: {len(lines):,} of {len(rows):,} answers, {tokens / seconds:,.1f} tokens/s")
        del speaker
        free_memory()
    write_rows(path, lines)
    facts = {
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
        "rows_per_second": round(answered / seconds, 3) if seconds else None,
        "machine": machine(),
    }
    manifest = run.finish(f"predictions-{responder.stem()}", inputs, [path], facts)
    kept.remove()
    return manifest


def _warm_up(speaker: Speaker, responder: Responder, rows: Sequence[ResponseRow]) -> None:
    few = responder.answering.model_copy(update={"max_new_tokens": WARM_UP_TOKENS})
    speaker.answer(_asked(rows[:WARM_UP]), few, seed=responder.seed or 0)


def _answers(speaker: Speaker, responder: Responder, rows: Sequence[ResponseRow]) -> tuple[list[Response], float]:
    """Answers to some questions with the losses of their references, and the seconds that answering took."""
    started = time.perf_counter()
    said = speaker.answer(_asked(rows), responder.answering, seed=responder.seed or 0)
    seconds = max(time.perf_counter() - started, 1e-9)
    losses = speaker.losses(rows)
    return [_line(row, one, loss) for row, one, loss in zip(rows, said, losses, strict=True)], seconds


def _asked(rows: Sequence[ResponseRow]) -> list[Question]:
    from finetune.answering import Question

    return [Question(row.question, row.history) for row in rows]


def _line(row: ResponseRow, said: Generated, loss: tuple[float, int]) -> Response:
    nll, tokens = loss
    known = tokens > 0 and math.isfinite(nll)
    return Response(
        id=row.id,
        text=said.text,
        reasoning=said.reasoning,
        response=said.response,
        valid=said.valid,
        stopped=said.stopped,
        tokens=said.tokens,
        nll=round(nll, 6) if known else None,
        nll_tokens=tokens if known else None,
    )


def _whole(row: ResponseRow) -> str:
    return row.response if row.reasoning is None else f"{row.reasoning}\n{row.response}"
